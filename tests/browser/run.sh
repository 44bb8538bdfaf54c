#!/usr/bin/env bash
# Headless Chromium before the real node; see README.md beside this file.
#
#   tests/browser/run.sh [--driver io_uring|epoll]… [--only CHECK]… [--list] [--matrix]
#
# CORSAIR_BIN names the binary (default: the release build), CHROMIUM_BIN the browser (default:
# Debian's chromium, installed here when CI=true and only then). Nothing leaves the machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

corsair=${CORSAIR_BIN:-${CARGO_TARGET_DIR:-target}/release/corsair}
browser=${CHROMIUM_BIN:-chromium}

# 120 MB from a mirror that may be slow or break off: attempts keep what was fetched before.
if ! command -v "$browser" >/dev/null && [[ ${CI:-} == true ]]; then
    export DEBIAN_FRONTEND=noninteractive
    for attempt in 1 2 3 4 5; do
        if apt-get update -qq &&
            apt-get install -y -qq --no-install-recommends -o Acquire::Retries=5 \
                -o Acquire::http::Timeout=60 -o DPkg::Lock::Timeout=300 chromium >/dev/null; then
            break
        fi
        echo "installing chromium: attempt $attempt failed" >&2
        sleep $((attempt * 5))
    done
fi
missing=()
for tool in "$browser" python3; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
    echo "missing: ${missing[*]}; on Debian: apt-get install chromium python3" >&2
    exit 2
fi
if [[ ! -x $corsair ]]; then
    echo "missing: $corsair; build it with: cargo build --release" >&2
    exit 2
fi
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/browser/run.py --binary "$corsair" --browser "$browser" "$@"
