#!/usr/bin/env bash
# Resolves pyproject.toml and requirements/*.in into the hashed locks, for every supported Python; needs uv on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(--universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet)
uv pip compile "${options[@]}" requirements/build.in -o requirements/build.txt
uv pip compile "${options[@]}" --no-deps requirements/horovod.in -o requirements/horovod.txt
uv pip compile "${options[@]}" pyproject.toml --extra dev --constraint requirements/build.txt --no-emit-package horovod -o requirements/lock.txt
