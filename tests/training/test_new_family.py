"""A family that is one file and one line in the registry is trained, grown on, weighed, exported and scored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble, flatten
from glmix_automl.layout import Folder
from glmix_automl.models import FAMILIES
from glmix_automl.serving.export import export
from glmix_automl.serving.model import Model
from glmix_automl.serving.pyfunc import example
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import MixtureFit, Progress, Result, State, Trial
from tests.models.stump import STUMP


def test_a_new_family_goes_all_the_way(
    dataset: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "stump", STUMP)
    told: list[Progress] = []
    exact = {"solver": "lbfgs", "l2": 1.0}
    trials = [
        Trial(0, "", "stump"),
        Trial(1, "", "logistic", exact, offset=Ensemble.of(0)),
        Trial(2, "", "stump", offset=Ensemble((0, 1), (1.0, 1.0))),
        Trial(3, "", "mixture", fit=MixtureFit(Ensemble((0, 1), (1.0, 1.0)))),
    ]
    task = Evaluator(dataset, study, seed=1)
    results: list[Result] = [task(trial, lambda point: bool(told.append(point))) for trial in trials]
    assert all(result.state is State.FINISHED for result in results)
    assert results[0].auc is not None
    assert results[0].auc > 0.55
    assert results[0].metrics["complexity"] == 1.0
    assert {point.number for point in told} >= {0, 1, 2}
    sides = np.load(Path(study) / "trials" / "2" / "weights.npz")["sides"]
    assert np.abs(sides).max() < 0.3  # logistic regression has left it next to nothing

    streamed = Evaluator(dataset, str(tmp_path / "streamed"), seed=1, block_rows=4000)(trials[0], lambda point: False)
    assert streamed.auc == pytest.approx(results[0].auc, abs=1e-6)

    data, found = Dataset.open(dataset), {3: results[3].ensemble or Ensemble()}
    export(Folder(study), flatten(trials[3].model, found), data.schema, Folder(str(tmp_path / "model")), {})
    model, raw = Model(Folder(str(tmp_path / "model"))), pd.read_parquet(data.shards("test")[0].path)
    plain = [
        all(len(set(row[bag.name])) == len(row[bag.name]) for bag in data.schema.bags) for _, row in raw.iterrows()
    ]
    raw = raw[plain]
    own = np.load(Path(study) / "trials" / "3" / "scores-test.npy")[raw.index]
    np.testing.assert_allclose(model.predict(example(data.schema, raw)).log_odds, own, atol=1e-4)
