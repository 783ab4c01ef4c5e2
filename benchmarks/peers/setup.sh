#!/usr/bin/env bash
# Builds the environment of the peers from its hashed lock, beside ours and not in it. Does nothing when up to date.
#   benchmarks/peers/setup.sh [FOLDER]            (default: build/peers)
#   benchmarks/peers/setup.sh --adanet [FOLDER]   of adanet 0.9.0, on Python 3.10 (default: build/adanet)
#   benchmarks/peers/setup.sh --lock              resolves both again (needs uv)
set -euo pipefail
cd "$(dirname "$0")/../.."
lock=benchmarks/peers/requirements.txt
python=python3.11
name=peers

if [ "${1:-}" = --lock ]; then
    for each in 3.11/requirements 3.10/adanet; do
        uv pip compile --universal --python-version ${each%/*} --generate-hashes --no-emit-index-url \
            --no-emit-find-links --no-header --no-annotate --quiet benchmarks/peers/${each#*/}.in \
            -o benchmarks/peers/${each#*/}.txt
    done
    exit
fi
if [ "${1:-}" = --adanet ]; then
    lock=benchmarks/peers/adanet.txt
    python=python3.10
    name=adanet
    shift
fi
folder=${1:-build/$name}
wanted=$(sha256sum <$lock)
if [ "$(cat "$folder/.complete" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
"${PYTHON:-$python}" -m venv --clear "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes -r $lock
echo "$wanted" >"$folder/.complete"
