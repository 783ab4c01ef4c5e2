"""LightGBM, as trees are grown by it: its options, the columns it may split, its trees as arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from glmix_automl.errors import TrialError
from glmix_automl.models.rows import Rows
from glmix_automl.models.trees import Trees
from glmix_automl.seeds import derive
from glmix_automl.training.measure import Point

CURVE_POINTS = 10  # validations that are reported of a training; there is one after every tree


def choose_columns(coordinate: Trees, rows: Rows) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The columns of training rows that trees may split, and which they are, int64 [kept].

    A column filled in fewer rows than a leaf needs has no split, as one side of each is among those rows; without such
    columns, and those that `terms` leaves out, a vocabulary of millions costs what its frequent terms do.

    Raises:
        TrialError: there is none.
    """
    columns = coordinate.matrix(rows)
    filled = np.bincount(columns.indices, minlength=columns.shape[1])
    seen = np.array(coordinate.seen)
    kept = seen[filled[seen] >= coordinate.parameters.leaf_rows]
    if coordinate.parameters.terms:
        kept = np.setdiff1d(kept, _rare_terms(coordinate, filled))
    if not len(kept):
        raise TrialError("family trees: no feature is filled in as many rows as leaf_rows asks for; lower it")
    return columns[:, kept], kept


def _rare_terms(coordinate: Trees, filled: np.ndarray) -> np.ndarray:
    """The columns of each bag behind its `terms` most filled ones; of equals the first stays."""
    schema, most = coordinate.schema, coordinate.parameters.terms
    first, rare = len(schema.numerics) + len(schema.categoricals), [np.empty(0, np.int64)]
    for bag in schema.bags:
        size = schema.size(bag)
        rare.append(first + np.argsort(-filled[first : first + size], kind="stable")[most:])
        first += size
    return np.concatenate(rare)


def options(coordinate: Trees, seed: int, threads: int | None) -> dict[str, Any]:
    """What LightGBM calls the parameters, and what makes it give the same trees again."""
    given = coordinate.parameters
    return {
        "objective": "cross_entropy",
        "metric": ["auc", "cross_entropy"],
        "num_leaves": given.leaves,
        "learning_rate": given.learning_rate,
        "min_data_in_leaf": given.leaf_rows,
        "feature_fraction_bynode": given.feature_share,
        "bagging_fraction": given.row_share,
        "bagging_freq": 1,
        "lambda_l2": given.l2,
        "max_bin": given.bins,
        "use_missing": False,
        "seed": derive(seed, "boosting") % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads or 0,
        "verbosity": -1,
    }


def read_trees(text: str, trees: int, kept: np.ndarray, bias: float) -> dict[str, np.ndarray]:
    """The first so many trees of a model in LightGBM's text format, as `Trees` has them; thresholds rounded down to
    float32, which decides every float32 as before.
    """
    found = []
    for section in text.split("\nTree=")[1 : 1 + trees]:
        lines = section.split("\n\n")[0].splitlines()[1:]
        found.append(dict(line.split("=", 1) for line in lines))

    def joined(name: str) -> np.ndarray:
        return np.array([float(word) for tree in found for word in tree.get(name, "").split()])

    exact = joined("threshold")
    threshold = exact.astype(np.float32)
    above = threshold > exact
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    return {
        "splits": np.array([int(tree["num_leaves"]) - 1 for tree in found]),
        "column": kept[joined("split_feature").astype(np.int64)],
        "threshold": threshold,
        "left": joined("left_child"),
        "right": joined("right_child"),
        "leaf": joined("leaf_value"),
        "bias": np.array([bias]),
    }


class LightGbm:
    """A booster of LightGBM's, judged on the validation rows.

    Raises:
        TrialError: LightGBM cannot be loaded, or refuses the data.
    """

    def __init__(self, coordinate: Trees, rows: tuple[Rows, Rows], bias: float, seed: int, threads: int | None) -> None:
        """Without trees.

        Args:
            coordinate: which columns of rows there are, and the parameters.
            rows: of train and of validation, with the offsets of the trial.
            bias: fitted around the offsets.
            seed: of the rows and columns of each tree.
            threads: all cores if None.
        """
        self._bias = bias
        chosen = options(coordinate, seed, threads)
        with open_library() as lightgbm:
            columns, self._kept = choose_columns(coordinate, rows[0])
            train = lightgbm.Dataset(columns, params=chosen, **_fields(rows[0], bias))
            self._booster = lightgbm.Booster(chosen, train)
            held_out = coordinate.matrix(rows[1])[:, self._kept]
            valid = train.create_valid(held_out, params=chosen, **_fields(rows[1], bias))
            self._booster.add_valid(valid, "validation")

    def update(self) -> bool:
        """Adds a tree; whether nothing is left to split."""
        with open_library():
            return bool(self._booster.update())

    def measure(self) -> Point:
        """AUC and log loss of the validation rows."""
        found = {name: value for _, name, value, _ in self._booster.eval_valid()}
        return Point(float(found["auc"]), float(found["cross_entropy"]))

    def arrays(self, trees: int) -> dict[str, np.ndarray]:
        """The first so many trees, as `Trees` has them."""
        return read_trees(self._booster.model_to_string(), trees, self._kept, self._bias)


def _fields(rows: Rows, bias: float) -> dict[str, np.ndarray]:
    begin = rows.offset.numpy().astype(np.float64) + bias
    return {"label": rows.label.numpy(), "weight": rows.weight.numpy(), "init_score": begin}


@contextmanager
def open_library() -> Iterator[Any]:
    """LightGBM, its errors made those of a trial.

    Raises:
        TrialError: it cannot be loaded, or refuses what it is given.
    """
    lightgbm = _load()
    try:
        yield lightgbm
    except lightgbm.basic.LightGBMError as error:
        raise TrialError(f"family trees: LightGBM: {error}") from error


def _load() -> Any:
    """LightGBM.

    Raises:
        TrialError: it cannot be loaded.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: it is there, but not the OpenMP library it needs
        raise TrialError(f"family trees: LightGBM cannot be loaded: {error}; install OpenMP (libgomp)") from error
    return lightgbm
