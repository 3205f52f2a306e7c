#!/bin/bash
# A newcomer's first minute: an app below our PID 1, its logs, a shell beside it, its configuration, and what
# becomes of it all when the agent is killed. Every step checks what it shows; the tour ends by itself with 0.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v python3 >/dev/null || tools/install.sh
[ -x dist/waypoint ] && [ -x dist/waypoint-entrypoint ] || make build

HOME=$(mktemp -d /tmp/waypoint-demo.XXXXXX)
export HOME XDG_CONFIG_HOME=$HOME/.config
unset ${!WAYPOINT_@}
PATH=$PWD/dist:$PATH
app=$PWD/tools/demo_app.py
output=$HOME/output
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '  $ %s\n' "$*"; }
fail() {
    printf '\nthe demo failed: %s\n--- what `waypoint dev` printed:\n' "$*" >&2
    cat "$output" >&2
    exit 1
}
# until_true WHAT COMMAND…: tries for 30 seconds.
until_true() {
    local what=$1 tries=0
    shift
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || fail "$what"
        kill -0 "$dev" 2>/dev/null || fail "waypoint dev has ended; waited for: $what"
        sleep 0.1
    done
}
ask() { python3 -c "import sys, urllib.request as u; print('  ' + u.urlopen('http://127.0.0.1:$port$1', timeout=5).read().decode().strip())"; }
serving() { grep -q "serving on port $port as pid [0-9]*: $1" "$output"; }
# Of everything below `waypoint dev`, who has this name.
below() {
    local parent=$1 name=$2 pid
    for pid in $(cat "/proc/$parent/task/$parent/children"); do
        [ "$(cat "/proc/$pid/comm")" = "$name" ] && echo "$pid"
        below "$pid" "$name"
    done
}
agent() { below "$dev" waypoint-agent | head -n 1 | grep .; }
another_agent() { [ "$(agent)" != "$1" ]; }
log_says() { waypoint logs -f=false | grep -q "$1"; }

step "An app, below a PID 1, linked to a server: one command"
show "waypoint dev -p $port -- python3 demo_app.py"
waypoint dev -p "$port" -- python3 "$app" >"$output" 2>&1 &
dev=$!
trap 'kill "$dev" 2>/dev/null || true; wait "$dev" 2>/dev/null || true; rm -rf "$HOME"' EXIT
until_true "the app serves" serving ""
until_true "the app answers" ask /first >/dev/null
ask /hello

step "What the app prints is in the log of the server"
show "waypoint logs -f=false"
until_true "the request is in the log" log_says "request for /hello"
waypoint logs -f=false | tail -n 3 | sed 's/^/  /'

step "A command beside the app, with the app's environment"
show "waypoint exec -- sh -c 'echo PORT is \$PORT; exit 3'"
status=0
said=$(waypoint exec -- sh -c 'echo "PORT is $PORT"; exit 3' </dev/null) || status=$?
printf '  %s\n  (its exit code: %s)\n' "$said" "$status"
[ "$status" = 3 ] || fail "the exit code of the command is 3, not $status"
[[ $said == *"PORT is $port"* ]] || fail "the command has the app's environment"

step "A change of its configuration restarts the app, and nothing else"
show "waypoint config set GREETING='hello, world'"
waypoint config set GREETING='hello, world'
until_true "the app runs with its new greeting" serving "hello, world"
until_true "the app answers again" ask /again >/dev/null
ask /again

step "Who takes the agent away takes nothing from the app"
old=$(agent) || fail "there is an agent"
served=$(grep -c "serving on port" "$output")
show "kill -9 $old    # waypoint-agent"
kill -9 "$old"
ask /while-nobody-watches
until_true "another agent has come" another_agent "$old"
until_true "its log goes on" log_says "request for /while-nobody-watches"
[ "$(grep -c "serving on port" "$output")" = "$served" ] || fail "the app was started anew"
echo "  the app answered meanwhile, was not restarted, and its log goes on"

step "A stop goes to the app, and its exit code is ours"
show "kill -TERM    # waypoint dev"
kill -TERM "$dev"
status=0
wait "$dev" || status=$?
[ "$status" = 0 ] || fail "the app ends with 0 when it is told to stop, and so must we (not $status)"
echo "  status 0"
printf '\nThat was all of it. Next: README.md\n'
