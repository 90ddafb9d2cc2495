# Sums the sizes of symbols by crate: `nm -t d --print-size -C BINARY | awk -f cross/bloat.awk`.
# A function belongs to the first crate in its name that is not Rust's own: the instance of a generic
# function to whoever has it.
/ [tTwWrRdD] / && NF >= 4 {
    name = $0
    sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name)
    owner = ""
    rest = name
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z0-9_]+)+/)) {
        crate = substr(rest, RSTART, RLENGTH)
        sub(/::.*/, "", crate)
        rest = substr(rest, RSTART + RLENGTH)
        if (crate !~ /^(core|alloc|std|compiler_builtins)$/) {
            owner = crate
            break
        }
        owner = "std, core, alloc"
    }
    if (name ~ /^\.L(anon|switch)/)
        owner = "strings and tables of all crates"
    else if (owner == "" && name ~ /ring_core|^_?(fiat|bsaes|x25519|nist|p256|k25519|fe_|ge_|K256|K512|Bi$)/)
        owner = "ring, in C and assembly"
    else if (owner == "")
        owner = "musl, libunwind, compiler-rt"
    sizes[owner] += $2
    counts[owner]++
}
END {
    for (owner in sizes) print sizes[owner] "\t" counts[owner] "\t" owner
}
