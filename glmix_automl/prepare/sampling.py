"""Negative down-sampling of training rows, corrected by weight."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glmix_automl.prepare.split import SPLIT, share
from glmix_automl.prepare.stage import LABEL, UID, WEIGHT
from glmix_automl.schema import SPLITS
from glmix_automl.seeds import derive


def sampled(frame: DataFrame, kept_share: float, seed: int) -> DataFrame:
    """The staged rows without some negatives of train, the weight of the remaining ones divided by `kept_share`.

    The expected weighted loss, and so the calibration of a model, is that of all rows. Validation and test stay whole.
    """
    if kept_share >= 1:
        return frame
    negative = (F.col(SPLIT) == SPLITS[0]) & (F.col(LABEL) == 0)
    kept = frame.where(~negative | (share(UID, derive(seed, "negatives")) < kept_share))
    return kept.withColumn(WEIGHT, F.when(negative, F.col(WEIGHT) / kept_share).otherwise(F.col(WEIGHT)))
