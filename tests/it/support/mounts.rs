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
        // Lazily: what still runs in there must not keep the test's folder.
        runs(Command::new("umount").arg("-l").arg(&self.at));
    }
}

pub fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
