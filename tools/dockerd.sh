#!/bin/sh
# dockerd.sh COMMAND…: runs COMMAND with a Docker daemon; if none answers, one of our own, stopped afterwards.
# It touches no firewall and makes no bridge: the tests use `--network none` and `--network host` alone.
set -eu
PATH=$PATH:/usr/sbin:/sbin

if docker info >/dev/null 2>&1; then
    exec "$@"
fi
command -v dockerd >/dev/null || { echo "dockerd is not installed: tools/install.sh installs it" >&2; exit 1; }

# Short, for it holds sockets, whose paths end at 107 bytes.
state=$(mktemp -d /tmp/dockerd.XXXXXX)
export DOCKER_HOST="unix://$state/docker.sock"
mkdir -p target
dockerd --host "$DOCKER_HOST" --iptables=false --ip6tables=false --bridge=none \
    --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" \
    >target/dockerd.log 2>&1 &
daemon=$!

stop() {
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
    umount "$state"/data/*/* "$state"/exec/netns/* 2>/dev/null || true
    rm -rf "$state" || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tries=0
until docker info >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$daemon" 2>/dev/null; then
        tail -n 20 target/dockerd.log >&2
        echo "dockerd does not answer at $DOCKER_HOST; its log is target/dockerd.log" >&2
        exit 1
    fi
    sleep 0.2
done

status=0
"$@" || status=$?
exit "$status"
