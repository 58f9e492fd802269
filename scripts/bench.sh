#!/bin/sh
# Measures remora beside the curl line it replaces, then the agent beside handlers
# that do less, each in one run on loopback.
# Usage: scripts/bench.sh [RUNS [SECONDS [STORED]]]
#   RUNS     of each command (20)
#   SECONDS  that each server is loaded with webhooks (3)
#   STORED   events in the database that is not empty (100000; 1000000 takes minutes)
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$dir/remora" .
CGO_ENABLED=0 go build -o "$dir/stand" ./scripts/stand
"$dir/stand" bench --remora "$dir/remora" --runs "${1:-20}"
echo
"$dir/stand" load --remora "$dir/remora" --seconds "${2:-3}" --stored "${3:-100000}"
