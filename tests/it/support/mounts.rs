//! File systems of a test's own, mounted over folders of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Memory with room for `bytes`; `None`, and a word about it, where this may not be mounted.
    pub fn tmpfs(at: &Path, bytes: u64) -> Option<Mount> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes},mode=0755");
        let mounted = runs(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
                .arg(at),
        );
        (!super::lacks("the right to mount", mounted)).then(|| Mount { at: at.to_owned() })
    }

    /// `folder` once more, at another place.
    pub fn bind(folder: &Path, at: &Path) -> Option<Mount> {
        let mounted = runs(Command::new("mount").arg("--bind").args([folder, at]));
        (!super::lacks("the right to mount", mounted)).then(|| Mount { at: at.to_owned() })
    }

    /// A FAT file system in `image`, which is made with `bytes` unless it is there: mounted by the
    /// kernel, or, where the kernel has no vfat, by fusefat.
    pub fn vfat(image: &Path, bytes: u64, at: &Path) -> Option<Mount> {
        std::fs::create_dir_all(at).unwrap();
        if !image.exists() {
            let file = std::fs::File::create(image).unwrap();
            file.set_len(bytes).unwrap();
            let made = runs(Command::new("mkfs.vfat").args(["-F", "32"]).arg(image));
            if super::lacks("mkfs.vfat (Debian: apt-get install dosfstools)", made) {
                return None;
            }
        }
        let mut by_kernel = Command::new("mount");
        by_kernel
            .args(["-t", "vfat", "-o", "loop"])
            .args([image, at]);
        let mut by_fuse = Command::new("fusefat");
        by_fuse.args(["-o", "rw+"]).args([image, at]);
        let mounted = runs(&mut by_kernel) || runs(&mut by_fuse) && is_mounted(at);
        let what = "vfat in the kernel, or fusefat (Debian: apt-get install fusefat)";
        (!super::lacks(what, mounted)).then(|| Mount { at: at.to_owned() })
    }

    pub fn set_read_only(&self, read_only: bool) {
        let option = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        assert!(runs(
            Command::new("mount").args(["-o", option]).arg(&self.at)
        ));
    }

    /// Leaves no room for even a byte, until the file is removed.
    pub fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.at.join("filling");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [65_536, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What still runs in there must not keep the test's folder; lazily, it would not be written.
        if !runs(Command::new("umount").arg(&self.at)) {
            runs(Command::new("umount").arg("-l").arg(&self.at));
        }
    }
}

fn is_mounted(at: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let place = at.to_str().unwrap_or_default();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(place))
}

pub fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
