#!/bin/sh
# A machine in namespaces of its own, for the tests of service files: `boot.sh INIT LAYERS FOLDER`.
# LAYERS are folders as overlayfs wants them (`upper:lower`), which stay as they are; FOLDER is an
# empty one to mount at. The network is that of the host, for the S3 server of the test. The machine
# is gone, with all its processes, when this process is killed.
set -eu

# systemd wants a part of the cgroup tree for itself.
cgroups=/sys/fs/cgroup
[ ! -d $cgroups/systemd ] || cgroups=$cgroups/systemd

if [ "${BOOT_STAGE:-outside}" = outside ]; then
    # Removed by the test when the machine is gone.
    part=$cgroups/s3ferry-test-$$
    if [ "$1" = systemd ] && mkdir "$part" 2>/dev/null; then
        echo $$ >"$part/cgroup.procs"
    fi
    BOOT_STAGE=inside exec unshare --fork --pid --mount --uts --ipc --cgroup --kill-child "$0" "$@"
fi

init=$1 layers=$2 folder=$3
mount --make-rprivate /
# As it was made above: seen from here, its own part is the root.
cgroup_type=$(stat -f -c %T "$cgroups" 2>/dev/null || true)
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
root=$folder/root
mount -t overlay -o "lowerdir=$layers,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
: >"$root/dev/console"
hostname machine

case $init in
    systemd)
        if [ "$cgroup_type" = cgroup2fs ]; then
            mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
        else
            mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
            mkdir "$root/sys/fs/cgroup/systemd"
            mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
        fi
        set -- /usr/lib/systemd/systemd --system --unit=basic.target
        ;;
    busybox) set -- /bin/busybox init ;;
esac
# Not by chroot: systemd gives its services mount namespaces of their own, which start at the root
# of this one. The old root lies below the new one until it is let go of.
cd "$root"
pivot_root . .
umount -l .
# As systemd finds it in containers; its services' credentials are mounted through this.
mount --make-rshared /
exec /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
