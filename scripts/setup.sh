#!/usr/bin/env bash
# Builds .venv from the hashed locks in requirements/ and Horovod from its source package. Does nothing when up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.complete
log=$venv/setup.log

fail() { echo "setup: $1" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.10 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 to 3.12 found (python3 is $(python3 --version 2>&1 || true)); install it (apt-get install python3.11 python3.11-venv python3.11-dev) or name it with PYTHON=..."
}

check_tools() {
    local java_major
    java -version >/dev/null 2>&1 || fail "no Java found; Spark needs Java 17 or 21: apt-get install openjdk-17-jre-headless"
    java_major=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
    [ "${java_major:-0}" -ge 17 ] || fail "Java ${java_major:-of unknown version} found; Spark 4 needs Java 17 or 21: apt-get install openjdk-17-jre-headless"
    command -v g++ >/dev/null || fail "no C++ compiler found; Horovod is built from source: apt-get install g++"
    command -v gcc >/dev/null || fail "no C compiler found; Horovod is built from source: apt-get install gcc"
    command -v make >/dev/null || fail "no make found; Horovod is built from source: apt-get install make"
}

wanted=$(cat requirements/*.txt pyproject.toml scripts/spark_submit.sh "$0" | sha256sum | cut -d' ' -f1)
if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then
    exit 0
fi

check_tools
python=$(find_python)
if ! $venv/bin/python -c '' 2>/dev/null; then
    "$python" -m venv $venv 2>/dev/null || fail "$python cannot make a virtual environment: apt-get install ${python}-venv"
fi
"$venv/bin/python" -c 'import sysconfig, os, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
    || fail "Python.h is missing, Horovod cannot be built: apt-get install ${python}-dev"

rm -f $stamp
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes)
step() {
    echo "setup: $1" >&2
    shift
    "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "that failed; the whole log is $log"; }
}
: >"$log"
step "installing the locked packages (a few minutes)" "${pip[@]}" -r requirements/build.txt -r requirements/lock.txt
# Gloo needs no MPI; without build isolation Horovod compiles against the TensorFlow just installed.
step "building Horovod from source (two to five minutes)" \
    env PATH="$PWD/$venv/bin:$PATH" HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
    "${pip[@]}" --no-build-isolation --no-deps -r requirements/horovod.txt
step "installing glmix-automl" "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
java_home=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
sed "s|@JAVA_HOME@|$java_home|" scripts/spark_submit.sh >"$venv/bin/spark-submit"  # keeps the mode of PySpark's own
step "compiling the loops (a minute)" bash -c "$venv/bin/python scripts/compile_loops.py pairs & $venv/bin/python scripts/compile_loops.py interactions && wait \$!"
# MLflow takes five seconds over the tables of a new database; studies copy the one that this leaves in the user's cache.
step "making MLflow's empty database" "$venv/bin/python" -c \
    "import tempfile; from glmix_automl.tracking.store import make_whole
with tempfile.TemporaryDirectory() as place: make_whole(f'sqlite:///{place}/mlflow.db')"
echo "$wanted" >$stamp
