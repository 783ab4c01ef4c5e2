#!/usr/bin/env bash
# Builds the environment of the peers from its hashed lock, beside ours and not in it. Does nothing when up to date.
#   benchmarks/peers/setup.sh [FOLDER]      (default: build/peers)
#   benchmarks/peers/setup.sh --lock        resolves requirements.in again (needs uv)
set -euo pipefail
cd "$(dirname "$0")/../.."
lock=benchmarks/peers/requirements.txt

if [ "${1:-}" = --lock ]; then
    exec uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-header --no-annotate --quiet benchmarks/peers/requirements.in -o $lock
fi
folder=${1:-build/peers}
wanted=$(sha256sum <$lock)
if [ "$(cat "$folder/.complete" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
"${PYTHON:-python3.11}" -m venv --clear "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes -r $lock
echo "$wanted" >"$folder/.complete"
