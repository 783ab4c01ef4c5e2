"""Mixture trials on cached scores, and growth through the evaluator that workers keep."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glmix_automl import metrics
from glmix_automl.config import parse
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import CachedScores, Targets
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.training.mixture import cross_fit, deal_folds, weigh
from glmix_automl.training.mixture_weights import FittedMixture
from glmix_automl.trial import MixtureFit, Result, Trial
from tests.dataset_maker import make_dataset

RNG = np.random.default_rng(0)
SCORES = {(k, s): RNG.normal(size=500).astype(np.float32) for k in (3, 5) for s in ("train", "validation")}
SPLITS = {s: Targets((SCORES[3, s] + RNG.normal(size=500) > 0).astype(np.float32)) for s in ("train", "validation")}
FIT = MixtureFit(Ensemble((3, 5), (1.0, 0.0)), (0.01, 0.01))


def found(fit: MixtureFit) -> FittedMixture:
    return weigh(fit, CachedScores(SPLITS[fit.split], lambda member: SCORES[member, fit.split]))


def test_means_and_sums_are_not_fitted() -> None:
    for weighting, each in (("mean", 0.5), ("sum", 1.0)):
        given = found(dataclasses.replace(FIT, weighting=weighting))  # type: ignore[arg-type]
        assert given.weights == pytest.approx((each, each))
        assert given.objective > found(FIT).objective


def test_fitting_on_validation_lowers_the_loss_there() -> None:
    here, there = found(dataclasses.replace(FIT, split="validation")), found(FIT)
    ensemble = Ensemble(FIT.begin.members, there.weights, there.bias)
    logits = ensemble.score(lambda member: SCORES[member, "validation"], 500)
    assert here.loss < metrics.log_loss(SPLITS["validation"].label, logits)
    assert found(dataclasses.replace(FIT, penalties=())).penalty == 0.0


def test_cross_fitting_does_not_flatter_members_that_know_nothing() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20, 400)).astype(np.float32)
    member = rng.integers(0, 60, 400)
    rows = CachedScores(Targets((rng.uniform(size=400) < 0.5).astype(np.float32), member=member), noise.__getitem__)
    fit = MixtureFit(Ensemble(tuple(range(20)), (0.0,) * 20), split="validation")
    whole = weigh(fit, rows)
    seen = Ensemble(fit.begin.members, whole.weights, whole.bias).score(rows.of, 400)
    assert metrics.auc(rows.targets.label, seen) > 0.6
    assert metrics.auc(rows.targets.label, cross_fit(fit, rows, whole)) == pytest.approx(0.5, abs=0.06)
    dealt = deal_folds(member, 400)
    assert all(len(set(dealt[member == one])) == 1 for one in np.unique(member))
    assert len(set(deal_folds(np.zeros(400, int), 400))) == 5


def test_cross_fitting_does_not_set_back_members_with_many_positives() -> None:
    rng = np.random.default_rng(2)
    member = rng.integers(0, 60, 3000)
    score = (rng.normal(size=60)[member] + rng.normal(size=3000)).astype(np.float32)
    label = (rng.uniform(size=3000) < 1 / (1 + np.exp(-score - rng.normal(size=60)[member]))).astype(np.float32)
    rows = CachedScores(Targets(label, member=member), {0: score}.__getitem__)
    fit = MixtureFit(Ensemble((0,), (1.0,)), split="validation")
    found = metrics.auc(label, cross_fit(fit, rows, weigh(fit, rows)))
    assert found == pytest.approx(metrics.auc(label, score), abs=0.001)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"begin": Ensemble()}, "needs members"),
        ({"penalties": (0.1,)}, "expected 2 penalties"),
        ({"penalties": (0.1, -1.0)}, "at least 0"),
        ({"penalties": (0.1, float("nan"))}, "at least 0"),
        ({"weighting": "guess"}, "guess"),
        ({"split": "test"}, "'test'"),
    ],
)
def test_what_cannot_be_mixed_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TrialError, match=message):
        dataclasses.replace(FIT, **change)  # type: ignore[arg-type]


def test_growth_trains_candidates_on_what_the_ensemble_leaves(tmp_path: Path) -> None:
    """Real coordinates: a linear one cannot find the planted product and bend, a subnetwork on its residual can."""
    make_dataset(tmp_path / "data", rows=6000, seed=3)
    pool = [
        {"family": "logistic", "epochs": 4, "parameters": {"batch_size": 64, "learning_rate": 0.01}},
        {"family": "subnetwork", "epochs": 6, "parameters": {"batch_size": 64, "depth": 1, "width": 16}},
    ]
    options = {
        "generator": {"kind": "pool", "candidates": pool},
        "candidates": 4,
        "parameters": {"subnetwork": {"learning_rate": 0.01}},
        "distillation": "adaptive",
        "distillation_weight": 0.1,
        "warm_start": True,
    }
    strategy = AdaNet(parse(options, AdaNetOptions, "test"), 1)
    evaluator = Evaluator(str(tmp_path / "data"), str(tmp_path / "study"), seed=1)
    trials: dict[int, Trial] = {}
    results: dict[int, Result] = {}
    while asked := strategy.ask(1):
        for trial in asked:
            trials[trial.number] = trial
            results[trial.number] = evaluator(trial, lambda progress: False)
            strategy.tell(results[trial.number])
    found = trace_growth(trials, results)
    assert {member.family for member in found.members} == {"logistic", "subnetwork"}
    linear = next(r for n, r in results.items() if trials[n].family == "logistic")
    assert found.ensemble is not None
    assert results[found.ensemble].metrics["test_auc"] > linear.metrics["test_auc"] + 0.01
    anew = dataclasses.replace(trials[found.ensemble].fit, split="validation")  # type: ignore[type-var]
    judged = evaluator(Trial(len(trials), "", "mixture", fit=anew), lambda progress: False)
    held_out = np.load(tmp_path / "study" / "trials" / str(len(trials)) / "scores-held_out.npy")
    validation = evaluator._splits.held("validation")
    assert judged.auc == pytest.approx(metrics.auc(validation.label, held_out, validation.weight))
    assert judged.metrics["test_auc"] == pytest.approx(results[found.ensemble].metrics["test_auc"], abs=0.01)
    late = [t for t in trials.values() if t.offset is not None]
    assert all(len(t.offset.members) == 1 for t in late if t.offset)
    assert any(t.teacher is not None for t in late)
