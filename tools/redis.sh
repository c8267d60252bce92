#!/bin/sh
# The Redis that tests and `make run-cluster` need.
#
#   tools/redis.sh              sees to it that there is a redis-server, and installs it where that can be done
#   tools/redis.sh run COMMAND  runs COMMAND with REDIS_URL set: to what it is, or to a Redis that is started for it on
#                               a free port, in a directory of its own, and gone afterwards
#
# REDIS_URL does not do without redis-server: there are tests that kill and restart theirs.
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
server() { command -v redis-server || command -v valkey-server; }
client() { command -v redis-cli || command -v valkey-cli; }
there() { server >/dev/null && client >/dev/null; }

install() {
  if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    say "installing redis-server"
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >&2
  elif command -v brew >/dev/null; then
    say "installing redis"
    brew install --quiet redis >&2
  fi
}

need() {
  there || install || true
  there || fail "redis-server is missing: install Redis 7 or newer (Debian: apt-get install redis-server; macOS: brew install redis)"
  major=$("$(server)" --version | sed -n 's/.*[ =]v=\([0-9]*\)\..*/\1/p')
  [ "${major:-7}" -ge 7 ] || fail "redis-server is version $major: install Redis 7 or newer"
}

# started starts a server on the port and returns when it takes connections. What it says comes through a
# pipe, so that its first words are waited for and not guessed.
started() {
  "$(server)" --bind 127.0.0.1 --port "$1" --dir "$dir" --save '' --daemonize no >"$dir/said" 2>&1 &
  pid=$!
  while read -r line; do
    case $line in *"eady to accept connections"*) return 0 ;; esac
  done <"$dir/said"
  wait "$pid" || true
  pid=
  return 1
}

stop() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" || true; }
  rm -rf "$dir"
}

run() {
  pid=
  dir=$(mktemp -d)
  trap stop EXIT
  trap 'exit 130' INT TERM HUP
  mkfifo "$dir/said"
  for try in 1 2 3 4 5 6 7 8 9; do
    port=$((20000 + ($$ + try * 977) % 12000))
    if started "$port"; then
      REDIS_URL="redis://127.0.0.1:$port" "$@"
      return
    fi
  done
  fail "redis-server does not start"
}

if [ $# -eq 0 ]; then
  need
elif [ "$1" = run ] && [ $# -gt 1 ]; then
  shift
  if [ -n "${REDIS_URL:-}" ]; then exec "$@"; fi
  need
  run "$@"
else
  fail "usage: tools/redis.sh [run COMMAND]"
fi
