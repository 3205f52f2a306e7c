#!/bin/sh
# Prints what the programs weigh against budget.toml. Memory is measured by the tests of tests/integration/budget.rs.
set -eu
budget() { awk -F '[ =]+' -v key="$1" '$1 == key { gsub(/_/, "", $2); print $2; exit }' budget.toml; }

file=dist/waypoint-entrypoint
[ -f "$file" ] || { echo "$file is missing: run make build" >&2; exit 1; }
size=$(stat -c %s "$file")
limit=$(budget file)
printf 'size: %-26s %9d of %d bytes\n' "$file" "$size" "$limit"
printf 'size: %-26s %9d bytes\n' dist/waypoint "$(stat -c %s dist/waypoint)"
[ "$size" -le "$limit" ] || { echo "$file is over the budget that budget.toml allows" >&2; exit 1; }
