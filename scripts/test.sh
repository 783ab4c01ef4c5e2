#!/usr/bin/env bash
# Runs the tests in two processes at a time: those that share the Spark session and then those of some folders, and
# beside them all others, so that both end at about the same time. What the first say is shown when they have ended.
# Arguments are pytest's: scripts/test.sh [-m MARKS] PATH...
set -euo pipefail
set -m  # else what runs beside ignores SIGINT, and so do the processes that tests interrupt
cd "$(dirname "$0")/.."
python="${BIN:-.venv/bin}/python"
with_spark="cli dataset laws prepare serving"
marks="" paths=()
while (($#)); do
    case "$1" in
        -m) marks="$2 and " && shift 2 ;;
        *) paths+=("$1") && shift ;;
    esac
done

# 5: no test was chosen, which is as it should be where the paths hold tests of one kind only.
tests() {
    "$python" -m pytest "$@" "${paths[@]}" || (($? == 5))
}

beside() {
    local failed=0
    tests -m "${marks}spark" || failed=1
    tests -m "${marks}not spark" --folders "$with_spark" || failed=1
    return $failed
}

said="$(mktemp)"
trap 'kill -- "-${spark:-}" 2>/dev/null || true; rm -f "$said"' EXIT  # the group: pytest and what it started
beside >"$said" 2>&1 &
spark=$!
failed=0
tests -m "${marks}not spark" --without "$with_spark" || failed=1
wait "$spark" || failed=1
cat "$said"
exit $failed
