#!/bin/bash
# What the binary for TARGET is made of, as the table of cross/bloat.md: `cross/bloat.sh TARGET`.
# Builds it once more, with its symbols.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?which target}
binary=${CARGO_TARGET_DIR:-$PWD/target}/cross/symbols/$target/release/s3ferry
cross/build.sh --symbols "$target" >&2

printf '| part | bytes | symbols |\n|---|--:|--:|\n'
nm -t d --print-size -C "$binary" | awk -f cross/bloat.awk | sort -rn | awk -F '\t' '
    NR <= 20 { printf "| %s | %d | %d |\n", $3, $1, $2; next }
    { bytes += $1; symbols += $2 }
    END { printf "| all others | %d | %d |\n", bytes, symbols }'
