#!/bin/sh
# Measures remora beside the curl line it replaces, in one run on loopback.
# Usage: scripts/bench.sh [RUNS]
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$dir/remora" .
CGO_ENABLED=0 go build -o "$dir/stand" ./scripts/stand
"$dir/stand" bench --remora "$dir/remora" --runs "${1:-20}"
