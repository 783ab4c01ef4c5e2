"""The ceiling: AUC of the true probabilities on the labels drawn from them; no model can be expected above it."""

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

CELLS = 1 << 16
"""Cells of equal width that scores from 0 to 1 are counted in."""
_UNIT = 2.0**32  # weights are added up as whole multiples of 1 / _UNIT, so that sums do not depend on their order


def binned_auc(
    rows: DataFrame, kinds: dict[str, tuple[Column, Column]], scores: dict[str, Column]
) -> dict[tuple[str, str], float]:
    """AUCs in one pass, exact but for pairs of rows in one of 65,536 cells of equal width, which count half.

    The error is at most half the share of positive-negative pairs that fall in one cell. Only the counts per cell reach
    the driver: at most 65,536 rows per score, however large the data.

    Args:
        rows: the labelled rows.
        kinds: name -> weights with which a row is positive and negative: label and 1 - label; or, for the AUC expected
            over labels yet to be drawn, probability and 1 - probability; both times 0 for rows that do not count.
        scores: name -> a score from 0 to 1.

    Returns:
        (kind, score) -> AUC, NaN where a class is missing.
    """
    cells = [
        F.struct(F.lit(name).alias("name"), F.least(F.floor(score * CELLS), F.lit(CELLS - 1)).cast("int").alias("cell"))
        for name, score in scores.items()
    ]
    weights = {f"{kind}/{side}": sides[side] for kind, sides in kinds.items() for side in (0, 1)}
    counted = (
        rows.select(F.array(*cells).alias("cells"), *(_whole(w).alias(name) for name, w in weights.items()))
        .select(F.explode("cells").alias("at"), *(F.col(f"`{name}`") for name in weights))
        .groupBy("at.name", "at.cell")
        .agg(*(F.sum(f"`{name}`").alias(name) for name in weights))
        .toPandas()
        .sort_values("cell")
    )
    found = {}
    for score in scores:
        of_score = counted[counted["name"] == score]
        for kind in kinds:
            sides = (of_score[f"{kind}/{side}"].to_numpy(np.float64) for side in (0, 1))
            found[kind, score] = _auc(*sides)
    return found


def _whole(weight: Column) -> Column:
    return F.rint(weight * _UNIT).cast("bigint")


def _auc(positives: "np.ndarray", negatives: "np.ndarray") -> float:
    if positives.sum() == 0 or negatives.sum() == 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2.0)).sum() / (positives.sum() * negatives.sum()))
