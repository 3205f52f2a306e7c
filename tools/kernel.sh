#!/bin/sh
# Prints the path of a kernel for the VM tests: Debian's cloud kernel, unpacked from its package into target/vm, not installed.
set -eu
dir=target/vm
found() { ls "$dir"/kernel/boot/vmlinuz-* 2>/dev/null | head -n 1; }

if [ -z "$(found)" ]; then
    command -v apt-get >/dev/null || { echo "no apt-get here: put a kernel at $dir/kernel/boot/vmlinuz-VERSION" >&2; exit 1; }
    mkdir -p "$dir/package"
    package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/ { print $2; exit }'; }
    # apt's own downloader may run as a user of its own, who must be able to write there.
    fetch() { (cd "$dir/package" && apt-get download -q "$(package)") >&2; }
    [ -n "$(package)" ] && fetch || { apt-get update -q >/dev/null && fetch; }
    rm -rf "$dir/kernel.new"
    dpkg -x "$dir"/package/linux-image-*.deb "$dir/kernel.new"
    rm -rf "$dir/kernel" "$dir/package"
    mv "$dir/kernel.new" "$dir/kernel"
fi
found
