#!/bin/sh
# Installs what the tests drive, and of that only what is missing. Debian, as root; elsewhere it says what is missing.
set -eu

# The program that shows a package is there : the package.
wanted='
dockerd:docker.io
containerd:containerd
runc:runc
iptables:iptables
qemu-system-x86_64:qemu-system-x86
busybox:busybox-static
python3:python3
strace:strace
tini:tini
dumb-init:dumb-init
gcc:gcc
'
PATH=$PATH:/usr/sbin:/sbin

missing=
for line in $wanted; do
    command -v "${line%%:*}" >/dev/null || missing="$missing ${line#*:}"
done
# Debian's docker.io carries the client in the same package from 26 on apart; either is fine.
command -v docker >/dev/null || case $missing in
*docker.io*) ;;
*) apt-cache show docker-cli >/dev/null 2>&1 && missing="$missing docker-cli" ;;
esac
# A busybox that needs a libc is of no use in an image FROM scratch.
if command -v busybox >/dev/null && ldd "$(command -v busybox)" >/dev/null 2>&1; then
    missing="$missing busybox-static"
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing:$missing (install them, or run this as root on Debian)" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of package names
install() { apt-get install -y -q --no-install-recommends $missing >/dev/null; }
# The lists may be absent, or so old that what they name is gone.
install 2>/dev/null || { apt-get update -q >/dev/null && install; }
