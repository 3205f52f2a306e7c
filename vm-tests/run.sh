#!/bin/sh
# Our entrypoint as PID 1 of a real kernel: each vm-tests/cases/NAME.sh is run by it in a machine of its own.
# The case is a script for the guest; its comments `#expect REGEX` and `#refuse REGEX` say what the console must
# and must not show; `#init ARGS` are arguments for /init before its command. A case has 60 seconds, boot included.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
passed=0 failed=0 skipped=0

summary() {
    echo "vm: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && { [ "$skipped" = 0 ] || [ "${CI:-}" != true ]; }
}
skip() {
    echo "vm: skipped: $1"
    skipped=$(ls vm-tests/cases/*.sh | wc -l)
    summary
    exit
}

[ -x dist/waypoint-entrypoint ] || { echo "dist/waypoint-entrypoint is missing: run make build" >&2; exit 1; }
command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed (tools/install.sh)"
command -v busybox >/dev/null || skip "busybox is not installed (tools/install.sh)"
kernel=$(tools/kernel.sh) || skip "there is no kernel to boot"

# initrd CASE OUT: a root of our program, one static busybox and the case, packed.
initrd() {
    root=$(mktemp -d target/vm/root.XXXXXX)
    mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/run"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in sh mount cat echo sleep grep awk kill ps sync usleep readlink; do
        ln -s busybox "$root/bin/$applet"
    done
    cp dist/waypoint-entrypoint "$root/init"
    cp "$1" "$root/case.sh"
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$2"
    rm -rf "$root"
}

# The firmware clears the screen just before our first word; what it does so with becomes lines of its own.
boot() {
    # `pc` and not `microvm`, which has no clock to calibrate by and hangs now and then before its first word.
    timeout 60 qemu-system-x86_64 -accel tcg -M pc -cpu max -m 256 \
        -kernel "$kernel" -initrd "$1" -nographic -no-reboot -nic none \
        -append "console=ttyS0 panic=-1 quiet rdinit=/init FROM_THE_KERNEL=yes -- $2 /bin/sh /case.sh" </dev/null |
        tr '\r\033' '\n\n' | sed 's/^\[2J//'
}

verdict() {
    while read -r kind pattern; do
        case $kind in
        '#expect') grep -Eq -- "$pattern" "$2" || { echo "  the console never said: $pattern"; return 1; } ;;
        '#refuse') ! grep -E -- "$pattern" "$2" || { echo "  the console said: $pattern"; return 1; } ;;
        esac
    done <"$1"
    ! grep -F 'Kernel panic' "$2"
}

for case in vm-tests/cases/*.sh; do
    name=$(basename "$case" .sh)
    serial=target/vm/$name.log
    initrd "$case" "target/vm/$name.gz"
    boot "target/vm/$name.gz" "$(sed -n 's/^#init //p' "$case")" >"$serial" || true
    if problem=$(verdict "$case" "$serial"); then
        echo "vm: $name ... ok"
        passed=$((passed + 1))
    else
        echo "vm: $name ... FAILED"
        echo "$problem"
        tail -n 30 "$serial" | sed 's/^/  | /'
        failed=$((failed + 1))
    fi
done
summary
