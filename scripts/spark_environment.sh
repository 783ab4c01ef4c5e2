#!/usr/bin/env bash
# Packs .venv, with Horovod and this project's wheel, into one archive for Spark executors that have the same Python:
#   spark-submit --archives dist/glmix-automl-environment.tar.gz#environment \
#       --conf spark.pyspark.python=./environment/bin/python jobs/search.py conf/search/pymk.yaml
set -euo pipefail
cd "$(dirname "$0")/.."
archive=dist/glmix-automl-environment.tar.gz
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

cp -a .venv "$staging/environment"
# The editable install points into this checkout; executors get the wheel instead.
"$staging/environment/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --no-index \
    --force-reinstall dist/glmix_automl-*.whl
# Scripts in bin/ name the folder they were installed in; executors use bin/python only.
find "$staging/environment/bin" -type f -not -name 'python*' -delete
find "$staging/environment" -name __pycache__ -type d -prune -exec rm -rf {} +
tar --create --directory "$staging/environment" . | gzip -1 >"$archive.unfinished"
mv "$archive.unfinished" "$archive"
ls -sh "$archive"
