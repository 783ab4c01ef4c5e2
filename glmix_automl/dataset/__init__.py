"""A prepared dataset on disk becomes resident blocks of numpy arrays, or a stream of them."""

from glmix_automl.dataset.block import BagColumn, Block
from glmix_automl.dataset.reader import Dataset

__all__ = ["BagColumn", "Block", "Dataset"]
