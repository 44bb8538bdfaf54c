#!/usr/bin/env bash
# Counters gate: see tests/counters.py. Installs its tools only when CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
for tool in strace valgrind; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
    if [[ ${CI:-} != true ]]; then
        echo "missing: ${missing[*]} (Debian packages of the same names)" >&2
        exit 2
    fi
    apt-get update -qq
    apt-get install -y -qq "${missing[@]}" >/dev/null
fi
exec python3 tests/counters.py "${1:-${CARGO_TARGET_DIR:-target}/release/corsair}"
