#!/usr/bin/env bash
# Packs .venv, with Horovod and this project's wheel and without development tools, into one archive for Spark executors
# that have the same Python:
#   .venv/bin/spark-submit --archives dist/glmix-automl-environment.tar.gz#environment \
#       --conf spark.pyspark.python=./environment/bin/python --conf spark.pyspark.driver.python=.venv/bin/python JOB ...
# Everything is done to a copy: an environment whose parts lie elsewhere is refused, since what is removed from the copy
# would be removed there.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=dist/glmix-automl-environment.tar.gz

fail() { echo "spark-environment: $1" >&2; exit 1; }

original=$(realpath -e .venv 2>/dev/null) || fail "there is no .venv here: make setup"
[ -f "$original/pyvenv.cfg" ] || fail "$original is no virtual environment, it has no pyvenv.cfg: make setup"
grep -Eqi '^include-system-site-packages *= *true' "$original/pyvenv.cfg" \
    && fail "$original uses packages outside itself, which executors do not have: remove it, then make setup"
staging=$(realpath "$(mktemp -d)")
trap 'rm -rf "$staging"' EXIT
copy=$staging/environment

cp -a "$original" "$copy"  # the folder itself where .venv is a link
while IFS= read -r link; do
    case $(realpath -m "$link") in
        "$copy"/*) ;;
        *) fail "${link/#$copy/$original} is a link to $(readlink "$link"), outside the environment: remove it, then make setup" ;;
    esac
done < <(find "$copy" -type l -not -path "$copy/bin/python*")
# Isolated: no PYTHONPATH, no packages of the user and no settings of pip may lead out of the copy.
python=("$copy/bin/python" -I)
prefix=$("${python[@]}" -c 'import sys; print(sys.prefix)') || fail "the Python of $original does not run: make setup"
[ "$prefix" = "$copy" ] || fail "the Python of $original belongs to $prefix: remove $original, then make setup"
pip=("${python[@]}" -m pip --isolated --disable-pip-version-check)

# The editable install points into this checkout; executors get the wheel instead.
"${pip[@]}" install --quiet --no-deps --no-index --force-reinstall dist/glmix_automl-*.whl
mapfile -t unneeded < <("${python[@]}" - <<'PYTHON'
"""Prints the distributions that glmix-automl does not require."""
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

installed = {canonicalize_name(each.name) for each in distributions()}
needed, left = set(), [("glmix-automl", "optuna"), ("glmix-automl", "")]
while left:
    name, extra = left.pop()
    if (name, extra) in needed or name not in installed:
        continue
    needed.add((name, extra))
    for text in distribution(name).requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            left += [(canonicalize_name(wanted.name), each) for each in ("", *wanted.extras)]
print(*sorted(installed - {name for name, _ in needed}), sep="\n")
PYTHON
)
"${pip[@]}" uninstall --quiet --yes "${unneeded[@]}"
# Scripts in bin/ name the folder they were installed in; executors use bin/python only.
find "$copy/bin" -type f -not -name 'python*' -delete
"${python[@]}" -c 'import glmix_automl.training.evaluate, horovod.tensorflow, sys
sys.exit(not glmix_automl.__file__.startswith(sys.prefix))' 2>"$staging/errors" \
    || { tail -n 5 "$staging/errors" >&2; fail "the packed environment does not work: remove $original, then make setup"; }
find "$copy" -name __pycache__ -type d -prune -exec rm -rf {} +
tar --create --directory "$copy" . | gzip -1 >"$archive.unfinished"
mv "$archive.unfinished" "$archive"
ls -sh "$archive"
