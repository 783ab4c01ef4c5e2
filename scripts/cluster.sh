#!/usr/bin/env bash
# A standalone Spark cluster on this machine, a master and two workers from the pip package alone, for trying and tests:
#   scripts/cluster.sh start     prints the master's address
#   scripts/cluster.sh stop
#   scripts/cluster.sh submit jobs/prepare.py RECIPE ...    spark-submit to it, with what the address and Python are
# CORES and MEMORY set what each worker offers (default 1 and 2g), WORKERS how many (default 2).
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-$PWD/.venv/bin/python}
folder=${CLUSTER_DIR:-$PWD/build/cluster}
export SPARK_LOCAL_IP=127.0.0.1 SPARK_DAEMON_MEMORY=256m PYSPARK_PYTHON=$python
[ -x "$python" ] || { echo "cluster: no .venv; run: make setup" >&2; exit 1; }
SPARK_HOME=$("$python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME

start() {
    local port number words
    [ ! -f "$folder/master" ] || { echo "cluster: runs already at $(cat "$folder/master"); stop it first" >&2; exit 1; }
    mkdir -p "$folder"
    port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    launch master master.Master --port "$port"
    for number in $(seq "${WORKERS:-2}"); do
        words=(--cores "${CORES:-1}" --memory "${MEMORY:-2g}" -d "$folder/work-$number")
        launch "worker-$number" worker.Worker "${words[@]}" "spark://127.0.0.1:$port"
    done
    for _ in $(seq 300); do
        if [ "$(grep -c 'Registering worker' "$folder/master.log" || true)" -ge "${WORKERS:-2}" ]; then
            echo "spark://127.0.0.1:$port" | tee "$folder/master"
            return
        fi
        sleep 0.2
    done
    tail -n 20 "$folder/master.log" >&2
    stop
    echo "cluster: the workers did not register within a minute; logs are in $folder" >&2
    exit 1
}

launch() {
    local name=$1 kind=$2
    shift 2
    nohup "$SPARK_HOME/bin/spark-class" "org.apache.spark.deploy.$kind" --host 127.0.0.1 --webui-port 0 "$@" \
        >"$folder/$name.log" 2>&1 </dev/null &
    echo $! >>"$folder/pids"
}

stop() {
    local pid
    if [ -f "$folder/pids" ]; then
        while read -r pid; do
            pkill -P "$pid" 2>/dev/null || true
            kill "$pid" 2>/dev/null || true
        done <"$folder/pids"
    fi
    rm -rf "$folder/pids" "$folder/master" "$folder"/work-*
}

submit() {
    [ -f "$folder/master" ] || { echo "cluster: it does not run; scripts/cluster.sh start" >&2; exit 1; }
    local options=(--conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1)
    [ -z "${ARCHIVES:-}" ] || options+=(--archives "$ARCHIVES#environment" --conf spark.pyspark.python=./environment/bin/python
        --conf "spark.pyspark.driver.python=$PYSPARK_PYTHON")
    exec "$SPARK_HOME/bin/spark-submit" --master "$(cat "$folder/master")" "${options[@]}" "$@"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    submit) shift; submit "$@" ;;
    *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
