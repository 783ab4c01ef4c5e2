"""Records a table of trained configurations, for `tuning.py` to replay without training anything.

    python benchmarks/record_table.py DATASET --epochs 1 --output benchmarks/tables/ml100k.csv

Every combination of `LEVELS` once: a subnetwork trained by our engine on a prepared dataset, in this process and on one
thread. Its curve is read at 1, 3, 9 and 27 of 27 even parts of the budget: the AUC of the best weights until then, as a
trial that ends there hands in. Beside it DeLong's variance of the last, and the seconds in the training loop times the
share of a core that the process had, so that other work on the machine hardly shows. Rows are appended as they come and
a file that exists is continued. Only figures are kept, nothing of the data.
"""

import argparse
import csv
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from glmix_automl.seeds import derive
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Trial

LEVELS: dict[str, list[float]] = {  # what decides the structure comes first: a structure is traced once
    "depth": [1, 2, 3, 4],
    "width": [16, 48, 144],
    "embedding_width": [4, 16],
    "learning_rate": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "table_learning_rate": [0.01, 0.05, 0.25],
}
STRUCTURE = 3
"""How many of the levels decide the structure."""
PARTS = (1, 3, 9, 27)
COLUMNS = (*LEVELS, *(f"auc_{part}" for part in PARTS), "auc_variance", "seconds")


class Recorder:
    """Trains configurations on a dataset.

    Args:
        dataset: folder of a prepared dataset.
        study: folder for the files of a trial, each of which overwrites the one before.
        epochs: full budget.
    """

    def __init__(self, dataset: str, study: str, epochs: float) -> None:
        self._evaluator = Evaluator(dataset, study, threads=1)
        self._epochs = epochs
        self._structure: tuple[float, ...] = ()

    def row(self, values: tuple[float, ...]) -> dict[str, float]:
        """Trains a configuration; its row of the table."""
        if values[:STRUCTURE] != self._structure:  # traced before the clock runs
            self._evaluator(self._trial(values, self._epochs / PARTS[-1]), lambda progress: False)
            self._structure = values[:STRUCTURE]
        wall, processor = time.perf_counter(), time.process_time()
        result = self._evaluator(self._trial(values, self._epochs), lambda progress: False)
        share = min((time.process_time() - processor) / (time.perf_counter() - wall), 1.0)
        best = list(itertools.accumulate((point.auc or 0.0 for point in result.curve), max))
        return {
            **dict(zip(LEVELS, values, strict=True)),
            **{f"auc_{part}": round(best[part - 1], 6) for part in PARTS},
            "auc_variance": float(f"{result.metrics['auc_variance']:.4g}"),
            "seconds": round(result.costs.train_seconds * share, 3),
        }

    def _trial(self, values: tuple[float, ...], epochs: float) -> Trial:
        parameters = {**dict(zip(LEVELS, values, strict=True)), "evaluations": PARTS[-1], "accumulator": 0.0}
        parameters["bag_width"] = parameters["embedding_width"]
        seed = derive(0, "table", repr(values))
        return Trial(0, "table", "subnetwork", parameters, epochs=epochs, seed=seed)


def continued(path: Path) -> list[tuple[float, ...]]:
    """The configurations that a table holds already; a last line that was cut off is taken away, a new file begun."""
    whole = path.read_text() if path.exists() else ""
    kept = whole[: whole.rfind("\n") + 1] or ",".join(COLUMNS) + "\n"
    if kept != whole:
        path.write_text(kept)
    head, *rows = csv.reader(kept.splitlines())
    if tuple(head) != COLUMNS:
        sys.exit(f"{path} has other columns than {', '.join(COLUMNS)}; name another file")
    return [tuple(map(float, row[: len(LEVELS)])) for row in rows]


def missing(path: Path, most: int | None) -> Iterator[tuple[float, ...]]:
    """The configurations still to record, in order."""
    done = set(continued(path))
    left = [values for values in itertools.product(*LEVELS.values()) if tuple(map(float, values)) not in done]
    yield from left[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="folder of a prepared dataset")
    parser.add_argument("--epochs", type=float, required=True, help="full budget of a configuration")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write or to continue")
    parser.add_argument("--most", type=int, help="record so many rows and stop")
    options = parser.parse_args()
    total, best = math.prod(map(len, LEVELS.values())), 0.0
    with tempfile.TemporaryDirectory() as study:
        recorder = Recorder(options.dataset, study, options.epochs)
        for number, values in enumerate(missing(options.output, options.most), 1):
            row = recorder.row(values)
            with options.output.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
            best = max(best, row[f"auc_{PARTS[-1]}"])
            if number % 20 == 0:
                print(f"{number} more of {total} recorded, best AUC of them {best:.4f}", flush=True)


if __name__ == "__main__":
    main()
