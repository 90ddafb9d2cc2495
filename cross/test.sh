#!/bin/bash
# The acceptance tests on the binaries of cross/build.sh: `cross/test.sh TARGET…`, or `all`.
# Those of another architecture run under qemu-user-static, on the oldest processor they are for.
# S3FERRY_WEED names SeaweedFS's binary; without it the tests against it are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=${CARGO_TARGET_DIR:-$PWD/target}/cross/dist
# An emulated program that hangs would hold the caller for ever.
LIMIT=900

# Uploads small and in parts, over TLS, interrupted, gone on with; signals; one thread; dates.
IT=(
    main_job:: loop_and_signals:: retries::
    stalls::an_upload_over_tls stalls::one_connection_over_tls stalls::term_ends_an_upload_that_nothing_holds_up
)
INTEROP=(interruptions:: objects::)

runner() {
    case $1 in
        armv7-*) echo qemu-arm-static -cpu cortex-a7 ;;
        arm-*) echo qemu-arm-static -cpu arm1176 ;;
        armv5te-*) echo qemu-arm-static -cpu arm926 ;;
        aarch64-*) echo qemu-aarch64-static -cpu cortex-a53 ;;
    esac
}

fail() {
    printf 'cross/test.sh: %s\n' "$*" >&2
    exit 1
}

needs_qemu() {
    command -v qemu-arm-static >/dev/null && return
    [ "$(id -u)" = 0 ] || fail 'run as root: apt-get install qemu-user-static'
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 qemu-user-static >/dev/null
}

test_target() {
    local target=$1 binary=$dist/$1/s3ferry said
    [ -x "$binary" ] || fail "$binary is not there: cross/build.sh $target"
    S3FERRY_RUNNER=$(runner "$target")
    export S3FERRY_RUNNER S3FERRY_BIN=$binary
    [ -z "$S3FERRY_RUNNER" ] || needs_qemu
    # shellcheck disable=SC2086 # The runner has arguments.
    said=$(timeout 60 $S3FERRY_RUNNER "$binary" --version)
    [[ $said == "s3ferry "*" ($target, commit "*")" ]] || fail "$target says of itself: $said"
    printf '%s\n' "$said"
    timeout "$LIMIT" cargo test --quiet --test it -- "${IT[@]}"
    timeout "$LIMIT" cargo test --quiet --test interop -- "${INTEROP[@]}"
}

case ${1-} in
    '') fail 'which targets, or all?' ;;
    all)
        shopt -s nullglob
        built=("$dist"/*/s3ferry)
        set --
        for binary in "${built[@]}"; do
            set -- "$@" "$(basename "$(dirname "$binary")")"
        done
        ;;
esac
[ $# -gt 0 ] || fail 'nothing is built: cross/build.sh'
for target in "$@"; do
    test_target "$target"
done
exit
