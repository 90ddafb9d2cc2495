#!/bin/bash
# `tests/service/root.sh [FOLDER]`: a small Debian with BusyBox, OpenRC and systemd, in which the
# service files and packages are tried; target/service/debian if no folder is named. Prints where it
# is. Needs root and debootstrap. Done once: what the tests change lies in layers of their own.
set -euo pipefail
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)/target/service/debian}
if [ -e "$root/.complete" ]; then
    echo "$root"
    exit
fi

# The release of this machine, so that a binary that was built here finds its C library there.
# shellcheck disable=SC1091
suite=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || suite=bookworm
# From where this machine has its packages.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep '/debian/*$' | head -n 1) ||
    mirror=http://deb.debian.org/debian

# And by which way.
proxy=''
eval "$(apt-config shell proxy Acquire::http::Proxy)"
[ -z "$proxy" ] || export http_proxy=$proxy

rm -rf "$root"
mkdir -p "${root%/*}"
debootstrap --variant=minbase --include=busybox-static,openrc,systemd "$suite" "$root" "$mirror" >"$root.log" ||
    { tail -n 20 "$root.log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
touch "$root/.complete"
echo "$root"
