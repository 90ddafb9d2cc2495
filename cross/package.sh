#!/bin/bash
# Packages from the binaries of cross/build.sh: `cross/package.sh TARGET…`, or `cross/package.sh all`
# for those that are built. `--from FOLDER` takes them from FOLDER/TARGET/s3ferry, `--out FOLDER` puts
# the packages elsewhere; `--version VERSION` is for a package that differs from the last one of the same s3ferry
# (0.1.0-2); `--ipk-arch NAME` is what OpenWrt calls the box's CPU (`opkg print-architecture`).
#
# Leaves in target/cross/dist/: s3ferry_VERSION_ARCH.deb, s3ferry_VERSION_ARCH.ipk, and the bill of
# materials s3ferry-VERSION.cdx.json. The same commit and binary make the same bytes.
set -euo pipefail
# Where folders of the options are looked for.
caller=$PWD
cd "$(dirname "$0")/.."

# TARGET, Debian's name of it, OpenWrt's usual name of it.
TARGETS='armv7-unknown-linux-musleabihf armhf arm_cortex-a7_neon-vfpv4
arm-unknown-linux-musleabihf - arm_arm1176jzf-s_vfp
armv5te-unknown-linux-musleabi armel arm_arm926ej-s
aarch64-unknown-linux-musl arm64 aarch64_generic
x86_64-unknown-linux-musl amd64 x86_64'

dist=target/cross/dist
maintainer=${MAINTAINER:-The s3ferry maintainers <s3ferry@example.com>}
summary='Carries the files of a directory to Amazon S3'

fail() {
    printf 'cross/package.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    printf 'usage: cross/package.sh [OPTIONS] TARGET…|all\n'
    printf 'options: --from FOLDER, --out FOLDER, --version VERSION, --ipk-arch NAME\n'
    sed -e 's/ .*//' -e 's/^/       /' <<<"$TARGETS"
}

# needs COMMAND PACKAGE: Debian's package that has it.
needs() {
    command -v "$1" >/dev/null || fail "there is no $1; install what gives Debian's package $2"
}

# A folder as the caller means it.
callers() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$caller/$1" ;;
    esac
}

# put MODE FILE PATH: a file of the package.
put() {
    install -D -m "$1" "$2" "$tree$3"
}

# tarball FOLDER: all of it, with fixed order, times and owners.
tarball() {
    tar --create --directory "$1" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner .
}

# control FOLDER ARCHITECTURE FIELD…: the file that says what the package is.
control() {
    local folder=$1 architecture=$2
    shift 2
    {
        printf 'Package: s3ferry\nVersion: %s\nArchitecture: %s\n' "$version" "$architecture"
        printf 'Maintainer: %s\nInstalled-Size: %s\n' "$maintainer" "$(du -sk --apparent-size "$tree" | cut -f1)"
        printf '%s\n' "$@" | sed '/^$/d'
        printf 'Description: %s\n' "$summary"
        printf ' Looks into folders at an interval, sends what is new, goes on after an outage, and\n'
        printf ' writes down what it did: one program, one thread, a few megabytes of memory.\n'
    } >"$folder/control"
}

documents() {
    local document
    put 0644 README.md /usr/share/doc/s3ferry/README.md
    for document in s3ferry.json s3ferry.minimal.json s3ferry.schema.json iam-policy.json README.md; do
        put 0644 "config/$document" "/usr/share/doc/s3ferry/examples/$document"
    done
    {
        printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n'
        printf 'Upstream-Name: s3ferry\n\nFiles: *\nCopyright: the s3ferry authors\nLicense: Apache-2.0 or Expat\n\n'
        printf 'License: Expat\n'
        sed -e 's/^$/./' -e 's/^/ /' LICENSE-MIT
        printf '\nLicense: Apache-2.0\n'
        printf ' On Debian systems, its text is in /usr/share/common-licenses/Apache-2.0.\n'
    } >"$work/copyright"
    put 0644 "$work/copyright" /usr/share/doc/s3ferry/copyright
    # Debian's form of it, which its tools read, leads to our own.
    {
        printf 's3ferry (%s) unstable; urgency=medium\n\n' "$version"
        printf '  * What has changed stands in /usr/share/doc/s3ferry/CHANGELOG.md.gz\n\n'
        printf ' -- %s  %s\n' "$maintainer" "$(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")"
    } | gzip --no-name --best >"$work/changelog.gz"
    put 0644 "$work/changelog.gz" /usr/share/doc/s3ferry/changelog.gz
    gzip --no-name --best <CHANGELOG.md >"$work/CHANGELOG.md.gz"
    put 0644 "$work/CHANGELOG.md.gz" /usr/share/doc/s3ferry/CHANGELOG.md.gz
}

# libraries BINARY PREFIX: what it needs of the system; nothing, unless it was built for the C
# library of this machine.
libraries() {
    if readelf --program-headers "$1" | grep -q INTERP; then
        printf '%slibc6, libgcc-s1' "$2"
    fi
}

deb() {
    local binary=$1 architecture=$2 unit
    tree=$work/deb/data meta=$work/deb/control
    mkdir -p "$tree" "$meta"
    put 0755 "$binary" /usr/bin/s3ferry
    put 0755 config/services/s3ferry.sysv /etc/init.d/s3ferry
    # The package makes the user and the state directory.
    sed 's/^RUN_AS=$/RUN_AS=s3ferry:s3ferry/' config/services/s3ferry.default >"$work/default"
    grep -q '^RUN_AS=s3ferry:s3ferry$' "$work/default" || fail 'config/services/s3ferry.default has no RUN_AS'
    put 0644 "$work/default" /etc/default/s3ferry
    for unit in s3ferry.service s3ferry-once.service s3ferry-once.timer; do
        put 0644 "config/services/$unit" "/lib/systemd/system/$unit"
    done
    install -d -m 0750 "$tree/etc/s3ferry"
    documents
    control "$meta" "$architecture" 'Section: net' 'Priority: optional' \
        "Depends: passwd$(libraries "$binary" ', ')"
    printf '/etc/default/s3ferry\n/etc/init.d/s3ferry\n' >"$meta/conffiles"
    install -m 0755 cross/packages/deb/{postinst,prerm,postrm} "$meta/"
    (cd "$tree" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum) >"$meta/md5sums"
    printf '2.0\n' >"$work/deb/debian-binary"
    tarball "$meta" | xz --threads=1 >"$work/deb/control.tar.xz"
    tarball "$tree" | xz --threads=1 >"$work/deb/data.tar.xz"
    package=$out/s3ferry_${version}_$architecture.deb
    rm -f "$package"
    # D: no times, no owners. The order is part of the format.
    (cd "$work/deb" && ar qcD "$work/package" debian-binary control.tar.xz data.tar.xz)
    mv "$work/package" "$package"
    printf '%s\n' "$package"
}

ipk() {
    local binary=$1 architecture=$2
    tree=$work/ipk/data meta=$work/ipk/control
    mkdir -p "$tree" "$meta"
    put 0755 "$binary" /usr/bin/s3ferry
    put 0755 config/services/s3ferry.procd /etc/init.d/s3ferry
    put 0600 config/services/s3ferry.uci /etc/config/s3ferry
    # Configuration and state outlive an upgrade of the firmware.
    printf '/etc/s3ferry/\n' >"$work/keep"
    put 0644 "$work/keep" /lib/upgrade/keep.d/s3ferry
    install -d -m 0700 "$tree/etc/s3ferry"
    control "$meta" "$architecture" 'Section: net' 'License: MIT OR Apache-2.0' \
        "$(libraries "$binary" 'Depends: ')"
    printf '/etc/config/s3ferry\n' >"$meta/conffiles"
    install -m 0755 cross/packages/ipk/{postinst,prerm} "$meta/"
    printf '2.0\n' >"$work/ipk/debian-binary"
    mkdir "$work/ipk/package"
    tarball "$meta" | gzip --no-name --best >"$work/ipk/package/control.tar.gz"
    tarball "$tree" | gzip --no-name --best >"$work/ipk/package/data.tar.gz"
    mv "$work/ipk/debian-binary" "$work/ipk/package/"
    package=$out/s3ferry_${version}_$architecture.ipk
    # The files by name: opkg expects them in this order.
    tar --create --directory "$work/ipk/package" --format=gnu --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner ./debian-binary ./data.tar.gz ./control.tar.gz |
        gzip --no-name --best >"$package"
    printf '%s\n' "$package"
}

main() {
    local target line from=$dist binary ipk_arch='' targets=() all=false debian openwrt
    out=$dist
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage; return ;;
            --from) from=$(callers "${2:?}") && shift ;;
            --version) version=${2:?} && shift ;;
            --out) out=$(callers "${2:?}") && shift ;;
            --ipk-arch) ipk_arch=${2:?} && shift ;;
            all) all=true ;;
            *) targets+=("$1") ;;
        esac
        shift
    done
    if [ $all = true ]; then
        while read -r target _; do
            [ ! -e "$from/$target/s3ferry" ] || targets+=("$target")
        done <<<"$TARGETS"
        [ ${#targets[@]} != 0 ] || fail 'build them first: cross/build.sh all'
    elif [ ${#targets[@]} = 0 ]; then
        usage >&2
        exit 64
    fi
    [ -z "$ipk_arch" ] || [ ${#targets[@]} = 1 ] ||
        fail "--ipk-arch $ipk_arch is the name of one CPU, and these are ${#targets[@]} targets: ${targets[*]}"
    needs readelf binutils
    needs ar binutils
    needs xz xz-utils
    needs python3 python3
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
    export SOURCE_DATE_EPOCH
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    for target in "${targets[@]}"; do
        line=$(grep "^$target " <<<"$TARGETS") || { usage >&2; exit 64; }
        read -r target debian openwrt <<<"$line"
        binary=$from/$target/s3ferry
        [ -e "$binary" ] || fail "build it first: cross/build.sh $target"
        work=$(mktemp -d)
        # shellcheck disable=SC2064 # This folder, not the next target's.
        trap "rm -rf '$work'" EXIT
        [ "$debian" = - ] || deb "$binary" "$debian"
        ipk "$binary" "${ipk_arch:-$openwrt}"
        rm -rf "$work"
    done
    python3 cross/sbom.py >"$out/s3ferry-$version.cdx.json"
    printf '%s\n' "$out/s3ferry-$version.cdx.json"
}

main "$@"
