#!/usr/bin/env bash
# spark-submit of this environment, whether or not it is activated: its Spark (unless SPARK_HOME names another), its
# Python, and the Java that the set-up found where none is on PATH. The set-up puts it into .venv/bin.
set -euo pipefail
bin=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$bin/python}
export SPARK_HOME=${SPARK_HOME:-$("$bin/python" -I -c 'from importlib.util import find_spec; print(*find_spec("pyspark").submodule_search_locations)')}
if [ -z "${JAVA_HOME:-}" ] && ! command -v java >/dev/null; then
    export JAVA_HOME=@JAVA_HOME@
fi
exec "$SPARK_HOME/bin/spark-submit" "$@"
