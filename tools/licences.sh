#!/bin/sh
# Fails where a crate that goes into our programs (or runs while they are built) has no licence of this list.
# cargo alone knows the licences, so neither jq nor python is needed.
set -eu
allowed='MIT Apache-2.0 ISC BSD-2-Clause BSD-3-Clause Unicode-3.0 CDLA-Permissive-2.0 Zlib 0BSD Unlicense CC0-1.0 MIT-0 BSL-1.0'

cargo tree --locked --features server -e normal,build --target x86_64-unknown-linux-gnu \
    --prefix none --format '{p}|{l}' | sed 's, (\*)$,,' | sort -u | awk -F '|' -v allowed="$allowed" '
    # An SPDX expression, with every known licence replaced by 1 and any other by 0, shrinks to 1 or 0.
    function holds(text,    words, n, i, out, before) {
        gsub(/\//, " OR ", text)
        gsub(/ WITH [A-Za-z0-9.-]+/, "", text)
        gsub(/[()]/, " & ", text)
        n = split(text, words, " ")
        out = " "
        for (i = 1; i <= n; i++)
            out = out (words[i] ~ /^(AND|OR|\(|\))$/ ? words[i] : (words[i] in known) ? 1 : 0) " "
        do {
            before = out
            gsub(/ \( 1 \) /, " 1 ", out); gsub(/ \( 0 \) /, " 0 ", out)
            sub(/ 1 AND 1 /, " 1 ", out); sub(/ 0 AND [01] /, " 0 ", out); sub(/ 1 AND 0 /, " 0 ", out)
            if (out !~ / AND /) { sub(/ 1 OR [01] /, " 1 ", out); sub(/ 0 OR 1 /, " 1 ", out); sub(/ 0 OR 0 /, " 0 ", out) }
            else if (match(out, /\( [01]( OR [01])+ \)/))
                out = substr(out, 1, RSTART - 1) (substr(out, RSTART, RLENGTH) ~ /1/ ? 1 : 0) substr(out, RSTART + RLENGTH)
        } while (out != before)
        return out == " 1 "
    }
    BEGIN { n = split(allowed, list, " "); for (i = 1; i <= n; i++) known[list[i]] = 1 }
    { crates++ }
    !holds($2) { print "licence not allowed: " $1 ": " ($2 == "" ? "(none)" : $2); bad = 1 }
    END { if (crates < 10) { print "cargo tree names no crates"; bad = 1 }
          if (!bad) print "licences: " crates " crates, all allowed"; exit bad }'
