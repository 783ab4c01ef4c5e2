#!/usr/bin/env bash
# The whole path once: raw tables with a known truth, a dataset, a race, a leaderboard, a champion, suggestions.
set -euo pipefail
cd "$(dirname "$0")/.."
automl="${BIN:-.venv/bin}/glmix-automl"
out="${OUT:-build/quickstart}"

echo "1/4 generating a members x items table with a known truth in $out/raw"
"$automl" generate jymbii --rows 100000 --seed 1 --output "$out/raw" --overwrite
echo "2/4 preparing it into $out/dataset"
"$automl" prepare conf/prepare/generated-jymbii.yaml --set root="$out/raw" --set output="$out/dataset" --overwrite
echo "3/4 racing the strategies on Horovod workers; the study is $out/study"
rm -rf "$out/study" "$out/mlflow.db" "$out/mlartifacts"
"$automl" search conf/search/quickstart.yaml --set dataset="$out/dataset" --set study="$out/study"
echo "4/4 making the winner the champion and scoring raw rows with it into $out/scores"
"$automl" promote "$out/study" --name quickstart
"$automl" score conf/score/quickstart.yaml --set registry="sqlite:///$(realpath "$out")/mlflow.db" \
    --set rows.path="$out/dataset/raw/test" --set output="$out/scores" --show 3
