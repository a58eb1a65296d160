#!/usr/bin/env bash
# Seconds of `make run` in a fresh clone with a fresh environment, of a second `make run`, and of `make test`.
#
#     benchmarks/fresh_clone.sh [--test]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet "$(git rev-parse --show-toplevel)" "$folder/isoflop"
cd "$folder/isoflop"
timed() {
	local begun
	begun=$(date +%s.%N)
	"$@"
	python3 -c "import sys; print(f\"{sys.argv[3]}: {float(sys.argv[2]) - float(sys.argv[1]):.1f} s\")" "$begun" "$(date +%s.%N)" "$*"
}
timed make run
timed make run
if [ "${1:-}" = --test ]; then timed make test; fi
