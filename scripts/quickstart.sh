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
echo "4/4 making the winner the champion, and its suggestions to a few members from the raw tables into $out/scores"
"$automl" promote "$out/study" --name quickstart
registry="sqlite:///$(realpath "$out")/mlflow.db"
score="score conf/score/quickstart.yaml --set registry=$registry --set root=$out/raw --set output=$out/scores"
"$automl" $score --show 3

cat <<END

Show it again, or more of it:
  suggestions           $automl $score --show 20
  the race in MLflow    $automl ui $out/study
  the champion's card   cat $out/study/model/model.md
  why it was promoted   cat $out/study/promotion.json
  answers over HTTP     PATH=$(realpath "$(dirname "$automl")"):\$PATH MLFLOW_TRACKING_URI=$registry mlflow models serve -m models:/quickstart@champion --env-manager local
END
