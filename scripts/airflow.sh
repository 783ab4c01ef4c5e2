#!/usr/bin/env bash
# Airflow in an environment of its own (it shares no pins with this project), for tests and for trying the nightly DAG:
#   scripts/airflow.sh setup          builds .airflow/venv from hashed locks; nothing to do the second time
#   scripts/airflow.sh run ARGS...    runs `airflow ARGS` with .airflow/home as its home and jobs/ as its DAGs
#   scripts/airflow.sh standalone     scheduler, API server and UI in one; the address and password are printed
set -euo pipefail
cd "$(dirname "$0")/.."

home=${AIRFLOW_HOME:-$PWD/.airflow/home}
venv=.airflow/venv
stamp=$venv/.complete

fail() { echo "airflow: $1" >&2; exit 1; }

setup() {
    local wanted python log=.airflow/setup.log
    wanted=$(sha256sum <requirements/airflow.txt | cut -d' ' -f1)
    if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then
        return
    fi
    mkdir -p .airflow
    for python in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.10; do
        command -v "$python" >/dev/null && break
    done
    command -v "$python" >/dev/null || fail "no Python 3.10 to 3.12 found; name it with PYTHON=..."
    echo "airflow: installing the locked packages into $venv (a few minutes)" >&2
    "$python" -m venv $venv
    $venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/airflow.txt \
        >$log 2>&1 || { tail -n 20 $log >&2; fail "that failed; the whole log is $log"; }
    echo "$wanted" >$stamp
}

environment() {
    export AIRFLOW_HOME=$home
    export AIRFLOW__CORE__DAGS_FOLDER=${AIRFLOW__CORE__DAGS_FOLDER:-$PWD/jobs}
    export AIRFLOW__CORE__LOAD_EXAMPLES=False
    export AIRFLOW__CORE__AUTH_MANAGER=${AIRFLOW__CORE__AUTH_MANAGER:-airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager}
    export GLMIX_HOME=${GLMIX_HOME:-$PWD}
    export PATH="$PWD/$venv/bin:$PATH"
    mkdir -p "$home"
    [ -f "$home/airflow.db" ] || [ -n "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:-}" ] || airflow db migrate >"$home/migrate.log" 2>&1 ||
        fail "its database cannot be made; the whole log is $home/migrate.log"
}

case ${1:-} in
    setup) setup ;;
    run) shift; setup; environment; exec airflow "$@" ;;
    standalone) setup; environment; exec airflow standalone ;;
    *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
