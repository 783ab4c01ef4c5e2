#!/usr/bin/env bash
# Runs the tests in two processes at a time: those that share the Spark session, and all others. What the first say is
# shown when they have ended. Arguments are pytest's: scripts/test.sh [-m MARKS] PATH...
set -euo pipefail
set -m  # else what runs beside ignores SIGINT, and so do the processes that tests interrupt
cd "$(dirname "$0")/.."
python="${BIN:-.venv/bin}/python"
marks="" paths=()
while (($#)); do
    case "$1" in
        -m) marks="$2 and " && shift 2 ;;
        *) paths+=("$1") && shift ;;
    esac
done

said="$(mktemp)"
trap 'kill "${spark:-}" 2>/dev/null || true; rm -f "$said"' EXIT
"$python" -m pytest -m "${marks}spark" "${paths[@]}" >"$said" 2>&1 &
spark=$!
others_code=0 spark_code=0
"$python" -m pytest -m "${marks}not spark" "${paths[@]}" || others_code=$?
wait "$spark" || spark_code=$?
cat "$said"
# 5: no test was chosen, which is as it should be where the paths hold tests of one kind only.
for code in "$others_code" "$spark_code"; do
    ((code == 0 || code == 5)) || exit "$code"
done
((others_code == 0 || spark_code == 0))
