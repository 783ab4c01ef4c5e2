"""The scores of trials, those of training rows made as for a trial that is trained on top of them."""

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.layout import Folder
from glmix_automl.training.splits import Splits
from glmix_automl.workers.collective import Alone


def scores(dataset: str, study: str, number: int, split: str) -> np.ndarray:
    """Of a trial on a split, float32 [rows]."""
    return Splits(Dataset.open(dataset), Folder(study), Alone(), seed=1).scores(number, split)
