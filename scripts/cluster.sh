#!/usr/bin/env bash
# A standalone Spark cluster on this machine, a master and workers from the pip package alone, for trying and tests:
#   scripts/cluster.sh start     prints the master's address
#   scripts/cluster.sh submit jobs/prepare.py RECIPE ...    spark-submit to it, with what the address and Python are
#   scripts/cluster.sh add       one worker more, at any time
#   scripts/cluster.sh remove    the last worker less, its executors with it
#   scripts/cluster.sh stop
# WORKERS says how many it starts with (default 2), CORES and MEMORY what each offers (default 1 and 2g).
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-$PWD/.venv/bin/python}
folder=${CLUSTER_DIR:-$PWD/build/cluster}
export SPARK_LOCAL_IP=127.0.0.1 SPARK_DAEMON_MEMORY=${SPARK_DAEMON_MEMORY:-256m} PYSPARK_PYTHON=$python

fail() { echo "cluster: $1" >&2; exit 1; }

[ -x "$python" ] || fail "no .venv; run: make setup"
SPARK_HOME=$("$python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME

start() {
    [ ! -f "$folder/master" ] || fail "runs already at $(cat "$folder/master"); stop it first"
    mkdir -p "$folder"
    local port
    port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    launch master master.Master --port "$port"
    until_logged "Starting Spark master" 1
    echo "spark://127.0.0.1:$port" >"$folder/master"
    for _ in $(seq "${WORKERS:-2}"); do launch_worker; done
    until_logged "Registering worker" "${WORKERS:-2}"
    cat "$folder/master"
}

add() {
    check_running
    local registered
    registered=$(logged "Registering worker")
    launch_worker
    until_logged "Registering worker" $((registered + 1))
}

remove() {
    check_running
    local last
    last=$(find "$folder" -name 'worker-*.pid' | sort -V | tail -n 1)
    [ -n "$last" ] || fail "there is no worker"
    end "$last"
}

stop() {
    local each
    for each in "$folder"/*.pid; do
        [ ! -f "$each" ] || end "$each"
    done
    rm -rf "$folder/master" "$folder"/work-* "$folder"/*.log
}

submit() {
    check_running
    local options=(--conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1)
    [ -z "${ARCHIVES:-}" ] || options+=(--archives "$ARCHIVES#environment" --conf spark.pyspark.python=./environment/bin/python
        --conf "spark.pyspark.driver.python=$PYSPARK_PYTHON")
    exec "$SPARK_HOME/bin/spark-submit" --master "$(cat "$folder/master")" "${options[@]}" "$@"
}

check_running() { [ -f "$folder/master" ] || fail "it does not run; scripts/cluster.sh start"; }

launch_worker() {
    local number=1
    while [ -f "$folder/worker-$number.pid" ]; do number=$((number + 1)); done
    launch "worker-$number" worker.Worker --cores "${CORES:-1}" --memory "${MEMORY:-2g}" -d "$folder/work-$number" "$(cat "$folder/master")"
}

launch() {  # becomes java itself, so that its process is the one noted
    local name=$1 kind=$2
    shift 2
    : >"$folder/$name.log"
    nohup "$SPARK_HOME/bin/spark-class" "org.apache.spark.deploy.$kind" --host 127.0.0.1 --webui-port 0 "$@" \
        >"$folder/$name.log" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
}

logged() { grep -c "$1" "$folder/master.log" || true; }

until_logged() {
    for _ in $(seq 600); do
        [ "$(logged "$1")" -lt "$2" ] || return 0
        sleep 0.2
    done
    tail -n 20 "$folder"/*.log >&2
    stop
    fail "not within two minutes: $2 times '$1' in the master's log, the end of which is above"
}

end() {  # a worker's children are its executors
    local pid
    pid=$(cat "$1")
    pkill -KILL -P "$pid" 2>/dev/null || true
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm "$1"
}

case ${1:-} in
    start | add | remove | stop) "$1" ;;
    submit) shift; submit "$@" ;;
    *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
