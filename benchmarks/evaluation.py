"""What evaluation costs beside training: ten epochs, validated after each, then every split scored and measured.

    python benchmarks/evaluation.py [--rows 1000000] [--dataset DATASET]

On a made dataset, or a prepared one. Printed per family: seconds of training; of everything that is not training (the
validations on the way, scores of every split written, every metric of validation and test); and of the AUC and
per-entity AUC of the validation rows alone.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from results import record

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Trial
from tests.dataset_maker import make_dataset

EPOCHS = 10
FAMILIES: dict[str, dict[str, float | int | str]] = {
    "logistic": {"batch_size": 512},
    "subnetwork": {"batch_size": 512, "depth": 2, "width": 64},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dataset", help="a prepared one")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.dataset or f"{folder}/dataset"
        if not options.dataset:
            sizes = {"numerics": 30, "categoricals": 8, "bags": 0, "weighted_bags": 0, "members": 20_000, "terms": 1600}
            make_dataset(place, rows=options.rows, held_out=options.rows // 8, **sizes)
        dataset = Dataset.open(place)
        evaluator = Evaluator(place, f"{folder}/study", threads=options.threads)
        label, member = (
            dataset.labels("validation"),
            dataset.entity_codes("validation", dataset.schema.entities[0].name),
        )
        print(f"{dataset.rows('train'):,} rows of train, {len(label):,} of validation, {EPOCHS} epochs")
        print(f"{'family':<12}{'training s':>11}{'all else s':>11}{'share':>8}{'validation metrics s':>22}{'share':>8}")
        found = []
        for number, (family, parameters) in enumerate(FAMILIES.items()):
            warm = Trial(2 * number, "benchmark", family, parameters, epochs=0.01)
            evaluator(warm, lambda progress: False)  # traces the graphs
            trial = Trial(2 * number + 1, "benchmark", family, parameters, epochs=EPOCHS)
            costs = evaluator(trial, lambda progress: False).costs
            scores = np.load(f"{folder}/study/trials/{trial.number}/scores-validation.npy")
            started = time.perf_counter()
            metrics.auc(label, scores), metrics.member_auc(label, scores, member)
            own = time.perf_counter() - started
            print(
                f"{family:<12}{costs.train_seconds:>11.2f}{costs.eval_seconds:>11.2f}"
                f"{costs.eval_seconds / costs.train_seconds:>8.1%}{own:>22.3f}{own / costs.train_seconds:>8.1%}",
                flush=True,
            )
            found.append(
                [family, f"{costs.eval_seconds / costs.train_seconds:.1%}", f"{own / costs.train_seconds:.1%}"]
            )
        record(
            "evaluation",
            f"All that is not training takes {' and '.join(each[1] for each in found)} of it, AUC and per-member AUC "
            f"{' and '.join(each[2] for each in found)}.",
            ["family", "all but training, of training", "validation metrics, of training"],
            found,
            data=f"{dataset.rows('train'):,} rows, {EPOCHS} epochs, {options.threads} thread",
            seeds="1",
        )


if __name__ == "__main__":
    main()
