#!/bin/bash
# Static binaries for small Linux boxes: `cross/build.sh TARGET…`, or `cross/build.sh all`.
#
# Uses the Rust of rustup from 1.96 on, where it has the sources of the standard library or can get
# them, else Debian's rustc-web; S3FERRY_CROSS_RUST=rustup or debian decides. Both build the standard library anew (for size, and for dates after 2038 on
# 32 bits), and zig is the C compiler, the linker and the musl. See cross/README.md.
#
# `--symbols` first: leaves target/cross/symbols/TARGET/release/s3ferry with its symbols instead, for
# cross/bloat.sh and debuggers.
#
# Leaves in target/cross/dist/: TARGET/s3ferry, s3ferry-VERSION-TARGET.tar.gz and SHA256SUMS. The
# same commit and compiler make the same bytes, wherever the clone is.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD

TARGETS=(
    armv7-unknown-linux-musleabihf # ARMv7 with VFP: most boards of the last ten years
    arm-unknown-linux-musleabihf   # ARMv6 with VFP: Raspberry Pi 1 and Zero
    armv5te-unknown-linux-musleabi # ARMv5 without VFP: older NAS boxes and industrial gateways
    aarch64-unknown-linux-musl
    x86_64-unknown-linux-musl
)
# Pinned: they decide over the bytes. From 0.17 on, zig's musl has zig's own allocator in the place
# of musl's.
ZIG_VERSION=0.15.2
ZIGBUILD_VERSION=0.24.0

work=${CARGO_TARGET_DIR:-$repository/target}/cross
dist=$work/dist
tools=$work/tools-$ZIG_VERSION-$ZIGBUILD_VERSION

fail() {
    printf 'cross/build.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    printf 'usage: cross/build.sh [--symbols] TARGET…|all\n'
    printf '       %s\n' "${TARGETS[@]}"
}

# install COMMAND-OR-FILE PACKAGE: Debian's package, unless what it brings is there.
install() {
    command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2")
}

install_missing() {
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null ||
        fail "install what gives these Debian packages: ${missing[*]}"
    [ "$(id -u)" = 0 ] ||
        fail "run as root: apt-get install --no-install-recommends ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
}

# Whether RUSTC has the sources of its standard library, and these a libc that knows 64-bit time_t on
# 32-bit musl: 0.2.183 or later, which comes with Rust 1.96.
standard_library_of() {
    local library version
    library=$("$1" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library &&
        version=$(sed -n '/^name = "libc"$/{n;s/version = "\(.*\)"/\1/p}' "$library/Cargo.lock" 2>/dev/null) &&
        [ -n "$version" ] && printf '%s\n' 0.2.183 "$version" | sort --version-sort --check=silent
}

# Sets RUSTC and CARGO, where rustup has them with the sources. The targets themselves, which are
# standard libraries built for speed and for 32 bits of time, are not needed.
rustups() {
    command -v rustup >/dev/null && RUSTC=$(rustup which rustc 2>/dev/null) &&
        CARGO=$(rustup which cargo 2>/dev/null) || return 1
    standard_library_of "$RUSTC" && return
    timeout 300 rustup component add rust-src >/dev/null 2>&1 && standard_library_of "$RUSTC"
}

# The same of Debian's.
debians() {
    RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo
    standard_library_of $RUSTC && [ -x $CARGO ] || missing+=(rustc-web cargo-web rust-web-src)
}

choose_rust() {
    case ${S3FERRY_CROSS_RUST:-any} in
        rustup) rustups || fail 'rustup has no Rust 1.96 or later with rust-src here' ;;
        debian) debians ;;
        any) rustups || debians ;;
        *) fail "S3FERRY_CROSS_RUST is rustup or debian, not $S3FERRY_CROSS_RUST" ;;
    esac
}

prepare() {
    missing=()
    choose_rust
    install cc gcc
    install /usr/include/stdlib.h libc6-dev
    install git git
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    install_missing
    standard_library_of "$RUSTC" ||
        fail "$RUSTC has no sources of the standard library, or they are older than Rust 1.96"
    if ! [ -x "$tools/bin/cargo-zigbuild" ]; then
        rm -rf "$tools"
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check \
            "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION" ||
            { rm -rf "$tools"; fail 'PyPI has to give ziglang and cargo-zigbuild'; }
    fi
    export RUSTC CARGO PATH=$tools/bin:$PATH
    # The standard library is built by a stable compiler, too.
    export RUSTC_BOOTSTRAP=1
    # All that is written stays below target/.
    export ZIG_GLOBAL_CACHE_DIR=$work/zig ZIG_LOCAL_CACHE_DIR=$work/zig CARGO_ZIGBUILD_CACHE_DIR=$work/zigbuild
}

# The one time in the binary and in the archive: that of the commit.
source_date() {
    git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml
}

# The paths of this machine are no part of the program.
remap() {
    local sysroot registry
    sysroot=$("$RUSTC" --print sysroot)
    printf -- '--remap-path-prefix=%s=s3ferry\x1f' "$repository"
    printf -- '--remap-path-prefix=%s=build\x1f' "$work"
    printf -- '--remap-path-prefix=%s/lib/rustlib/src/rust=rust\x1f' "$sysroot"
    for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        printf -- '--remap-path-prefix=%s=crates\x1f' "$registry"
    done
}

# One a line; what each is worth stands in cross/bloat.md.
flags_of() {
    # musl's start files are zig's.
    printf -- '-Clink-self-contained=no\x1f'
    printf -- '-Cforce-unwind-tables=no\x1f'
    case $1 in
        # Thumb-2. ARMv5 and ARMv6 have Thumb-1 alone, which is too little.
        armv7-*) printf -- '-Ctarget-feature=+thumb-mode\x1f' ;;
    esac
    case $1 in
        # 64-bit time_t. The standard library's libc takes the variable below, newer ones this.
        arm*) printf -- '--cfg=libc_unstable_time64\x1f' ;;
    esac
}

build() {
    local target=$1 flags
    flags=$(flags_of "$target")$(remap)
    case $target in
        arm*) export RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1 ;;
        *) unset RUST_LIBC_UNSTABLE_MUSL_V1_2_3 ;;
    esac
    # -u: flags of the caller would make other bytes.
    env -u RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS -u CARGO_INCREMENTAL \
        CARGO_ENCODED_RUSTFLAGS="${flags%$'\x1f'}" \
        cargo-zigbuild zigbuild --quiet --release --locked --bin s3ferry --target "$target" \
        --target-dir "$work/$kind" --config "profile.release.strip=$strip" \
        -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
    [ "$kind" = build ] || return 0
    mkdir -p "$dist/$target"
    cp "$work/build/$target/release/s3ferry" "$dist/$target/s3ferry"
}

# What a box gets, with fixed order, times, owners and modes.
archive() {
    local target=$1 name=s3ferry-$version-$1 folder
    folder=$(mktemp -d "$work/archive.XXXXXX")
    mkdir "$folder/$name"
    cp "$dist/$target/s3ferry" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder/$name/"
    cp -R config "$folder/$name/"
    tar --create --directory "$folder" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode='u+rwX,go+rX,go-w' "$name" |
        gzip --no-name --best >"$dist/$name.tar.gz"
    rm -r "$folder"
}

main() {
    local target targets=() known=" ${TARGETS[*]} "
    kind=build strip=true
    [ "${1-}" != --symbols ] || { kind=symbols strip=false; shift; }
    [ $# -gt 0 ] || { usage >&2; exit 64; }
    for target in "$@"; do
        case $target in
            -h | --help) usage; return ;;
            all) targets=("${TARGETS[@]}") ;;
            *)
                [[ $known == *" $target "* ]] || { usage >&2; exit 64; }
                targets+=("$target")
                ;;
        esac
    done
    mkdir -p "$dist"
    prepare
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(source_date)}
    "$RUSTC" --version
    for target in "${targets[@]}"; do
        build "$target"
        [ $kind = build ] || continue
        archive "$target"
        printf '%s: %s bytes\n' "$target" "$(stat -c %s "$dist/$target/s3ferry")"
    done
    [ $kind = build ] || return 0
    (cd "$dist" && sha256sum -- */s3ferry ./*.tar.gz | sed 's|  \./|  |' >SHA256SUMS)
}

main "$@"
exit
