"""Our logistic regression on public data, against scikit-learn's on the same columns."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import LogisticRegression

from glmix_automl import metrics
from glmix_automl.dataset import BagColumn, Block
from glmix_automl.models import FAMILIES
from glmix_automl.schema import Bag, Schema, Vocabulary
from glmix_automl.training.full_batch import FullBatch
from glmix_automl.training.measure import Point
from glmix_automl.training.resident import Resident
from glmix_automl.training.source import ResidentBlocks, Source
from glmix_automl.training.trainer import Budget, Setting
from glmix_automl.workers.collective import Alone

pytestmark = pytest.mark.real_data
COLUMNS = 123


def load(path: Path) -> tuple[Block, object]:
    """A LIBSVM file as a block with one bag, and as scikit-learn has it."""
    x, y = load_svmlight_file(str(path), n_features=COLUMNS)
    rows = x.shape[0]
    bag = BagColumn(x.indptr.astype(np.int64), x.indices.astype(np.int32) + 1, x.data.astype(np.float32))
    ones, zeros = np.ones(rows, np.float32), np.zeros(rows, np.float32)
    nothing = np.empty((rows, 0))
    block = Block(
        nothing.astype(np.float32), nothing.astype(np.int32), (bag,), (y > 0) * ones, ones, zeros, np.arange(rows)
    )
    return block, x


def test_a9a_is_ranked_as_by_scikit_learn(real_data: Path) -> None:
    train, x = load(real_data / "a9a" / "a9a.gz")
    test, z = load(real_data / "a9a" / "a9a.t.gz")
    schema = Schema(
        name="a9a",
        recipe="interactions",
        features=(Bag(name="x", source="x", vocabulary="x", weighted=True),),
        entities=(),
        vocabularies={"x": Vocabulary(buckets=COLUMNS)},
    )
    coordinate = FAMILIES["logistic"].build(schema, {"solver": "lbfgs", "l2": 1.0}, 0)
    blocks = ResidentBlocks(coordinate.prepare(Resident.of(train).rows), len(train), len(train), 1)
    source = Source(blocks, len(train), float(len(train)), 0, lambda _: Point(math.nan, 0.0), list)
    FullBatch(Setting(Alone())).train(coordinate, source, Budget(1.0), lambda _: False)
    ours = metrics.auc(test.label, coordinate.score(Resident.of(test).rows))
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(x, train.label)
    theirs = metrics.auc(test.label, model.decision_function(z).astype(np.float32))
    assert ours == pytest.approx(theirs, abs=2e-4)
    assert ours > 0.90
