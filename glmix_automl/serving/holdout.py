"""The raw hold-out rows that lie beside a dataset: what any model, of today or earlier, can be judged on."""

import math
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.errors import DataError
from glmix_automl.layout import RAW
from glmix_automl.schema import UID
from glmix_automl.serving.model import Model

WARM_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Holdout:
    """A split as raw rows in dataset order, with what scores are compared with.

    Attributes:
        rows: the raw columns.
        label, weight, offset: float32 [rows].
        member: int [rows], code of each row's member, or None where the dataset has no entities.
        is_new: bool [rows], whether train has not seen the row's member or item.
    """

    rows: pa.Table
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    offset: NDArray[np.float32]
    member: NDArray[np.int32] | None
    is_new: NDArray[np.bool_]

    @classmethod
    def read(cls, dataset: Dataset, split: str = "test") -> "Holdout":
        """Reads it.

        Raises:
            DataError: the dataset has no raw rows beside it, or others than its split.
        """
        name, folder = f"{RAW}/{split}", dataset.folder
        if not (files := folder.files(name, ".parquet")):
            raise DataError(
                f"{folder.path(name)}: the dataset keeps no raw {split} rows, which models are compared on; "
                "prepare it again with this version"
            )
        parts = [pq.read_table(folder.path(f"{name}/{file}"), filesystem=folder.filesystem) for file in files]
        rows = _in_order(
            pa.concat_tables(parts, promote_options="default"), dataset.column(split, UID), folder.path(name)
        )
        entities = dataset.schema.entities
        member = dataset.entity_codes(split, entities[0].name) if entities else None
        known = dataset.labels(split), dataset.weights(split), dataset.offsets(split)
        return cls(rows, *known, member, dataset.unseen(split))

    def measure(self, model: Model) -> "Measures":
        """What a model is worth on these rows, scored by its own transforms."""
        model.score(self.rows.slice(0, WARM_ROWS))  # graphs are traced and pages mapped once, not per row
        started = time.perf_counter()
        scores = model.score(self.rows) + self.offset
        seconds = time.perf_counter() - started
        new = self.is_new
        return Measures(
            scores=scores,
            auc=metrics.auc(self.label, scores, self.weight),
            loss=metrics.log_loss(self.label, scores, self.weight),
            calibration=metrics.calibration(self.label, scores, self.weight),
            member_auc=(
                math.nan if self.member is None else metrics.member_auc(self.label, scores, self.member, self.weight)
            ),
            cold_start_auc=metrics.auc(self.label[new], scores[new], self.weight[new]) if new.any() else math.nan,
            scoring_seconds=seconds,
        )


@dataclass(frozen=True, eq=False)
class Measures:
    """A model on the hold-out rows; NaN where a measure is not defined there.

    Attributes:
        scores: float32 [rows] log-odds, the rows' offsets included.
        auc: over all rows.
        loss: log loss.
        calibration: expected over observed positives; 1 is right.
        member_auc: mean AUC within members.
        cold_start_auc: AUC over the rows of members or items that train has not seen.
        scoring_seconds: wall-clock seconds from raw rows to scores.
    """

    scores: NDArray[np.float32]
    auc: float
    loss: float
    calibration: float
    member_auc: float
    cold_start_auc: float
    scoring_seconds: float

    def numbers(self) -> dict[str, float]:
        """Every measure by name; those that are not defined are left out."""
        found = {name: float(value) for name, value in vars(self).items() if name != "scores"}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def _in_order(rows: pa.Table, uids: np.ndarray, where: str) -> pa.Table:
    """The raw rows in the order of the split's own, matched by uid."""
    given = rows.column(UID).to_numpy(zero_copy_only=False).astype(str)
    order, wanted = np.argsort(given, kind="stable"), np.asarray(uids).astype(str)
    place = np.minimum(np.searchsorted(given[order], wanted), max(len(given) - 1, 0))
    if len(given) != len(wanted) or not np.array_equal(given[order][place], wanted):
        raise DataError(f"{where}: these are not the raw rows of the split; prepare the dataset again")
    return rows.take(pa.array(order[place]))
