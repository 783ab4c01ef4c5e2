"""A trial from its budget to its result, on real data on disk."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from glmix_automl import metrics
from glmix_automl.dataset import Block, Dataset
from glmix_automl.dataset.fingerprint import fingerprints
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import DataError, TrialError
from glmix_automl.schema import Schema
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import MixtureFit, Progress, Result, State, Trial
from glmix_automl.workers.collective import Alone, enter
from tests.dataset.test_fingerprint import reorder
from tests.training.scored import scores

FAST = {"batch_size": 64, "learning_rate": 0.02}
SMALL = {**FAST, "depth": 1, "width": 8, "embedding_width": 4, "bag_width": 4}


def never(progress: Progress) -> bool:
    return False


def trial(number: int, family: str = "logistic", **changes: Any) -> Trial:
    given = {"parameters": FAST if family == "logistic" else SMALL, "epochs": 3.0, "seed": 5} | changes
    return Trial(number, "test", family, **given)


def columns(schema: Schema, block: Block) -> np.ndarray:
    """The block one-hot: float64 [rows, columns], columns in the order of the logistic coordinate's weights."""
    parts = [np.eye(schema.size(f))[block.categoricals[:, k]] for k, f in enumerate(schema.categoricals)]
    for bag, feature in zip(block.bags, schema.bags, strict=True):
        dense = np.zeros((len(block), schema.size(feature)))
        rows = np.repeat(np.arange(len(block)), np.diff(bag.splits))
        np.add.at(dense, (rows, bag.ids), 1.0 if bag.values is None else bag.values)
        parts.append(dense)
    return np.concatenate([*parts, block.numerics], axis=1)


@pytest.fixture
def evaluate(dataset: str, study: str) -> Evaluator:
    return Evaluator(dataset, study, seed=1)


@pytest.mark.parametrize("family", ["logistic", "subnetwork"])
def test_a_result_says_what_its_files_hold(evaluate: Evaluator, dataset: str, study: str, family: str) -> None:
    seen: list[Progress] = []
    result = evaluate(trial(0, family), lambda progress: bool(seen.append(progress)))
    data = Dataset.open(dataset)
    assert result.state is State.FINISHED
    for split, prefix in (("validation", ""), ("test", "test_")):
        own = scores(dataset, study, 0, split)
        assert own.dtype == np.float32
        assert own.shape == (data.rows(split),)
        auc = result.auc if not prefix else result.metrics["test_auc"]
        assert auc == pytest.approx(metrics.auc(data.labels(split), own, data.weights(split)), abs=1e-12)
    assert result.loss == pytest.approx(
        metrics.log_loss(data.labels("validation"), scores(dataset, study, 0, "validation"), data.weights("validation"))
    )
    assert metrics.auc(data.labels("train"), scores(dataset, study, 0, "train")) > 0.6
    assert result.auc is not None
    assert result.auc > 0.6
    assert 0 < result.metrics["auc_variance"] < 0.01
    assert result.metrics["parameters"] == sum(
        math.prod(shape)
        for shape in json.loads((Path(study) / "trials/0/coordinate.json").read_text())["weights"].values()
    )
    assert result.costs.steps == 3 * math.ceil(1500 / 64)
    assert result.costs.rows == result.costs.steps * 64
    assert [p.epoch for p in result.curve] == [1, 2, 3]
    assert max(p.auc for p in result.curve if p.auc) == pytest.approx(result.auc, abs=1e-12)
    assert [p for p in seen if p.auc is not None] == list(result.curve)


def test_the_same_trial_gives_the_same_bits(evaluate: Evaluator, dataset: str, study: str, tmp_path: Path) -> None:
    evaluate(trial(0, "subnetwork"), never)
    evaluate(trial(1, "subnetwork", parameters={**SMALL, "learning_rate": 0.001}), never)
    evaluate(trial(2, "subnetwork"), never)  # the traced loop of the others, begun anew
    fresh = str(tmp_path / "other")
    Evaluator(dataset, fresh, seed=1)(trial(0, "subnetwork"), never)
    for split in ("train", "test"):
        assert np.array_equal(scores(dataset, study, 0, split), scores(dataset, study, 2, split))
        assert np.array_equal(scores(dataset, study, 0, split), scores(dataset, fresh, 0, split))
        assert not np.array_equal(scores(dataset, study, 0, split), scores(dataset, study, 1, split))


@pytest.mark.parametrize(("l2", "l1"), [(1.0, 0.0), (0.0, 4.0), (2.0, 2.0)])
def test_lbfgs_finds_scikit_learns_optimum(evaluate: Evaluator, dataset: str, study: str, l2: float, l1: float) -> None:
    result = evaluate(trial(0, parameters={"solver": "lbfgs", "l2": l2, "l1": l1, "tolerance": 1e-10}), never)
    data = Dataset.open(dataset)
    block = data.read("train")
    x = columns(data.schema, block)
    arguments: dict[str, Any] = {"C": 1 / (l1 + l2), "l1_ratio": l1 / (l1 + l2), "max_iter": 20_000, "tol": 1e-7}
    model = LogisticRegression(solver="saga", random_state=0, **arguments).fit(x, block.label, block.weight)
    assert scores(dataset, study, 0, "train") == pytest.approx(model.decision_function(x), abs=0.02)
    weights = np.load(Path(study) / "trials/0/weights.npz")
    zeros = np.concatenate([weights["table"], weights["linear"][:-1]]) == 0
    assert zeros.sum() == pytest.approx((model.coef_ == 0).sum(), abs=2)
    assert result.costs.rows == result.costs.steps * 1500


def test_a_path_of_strengths_ends_at_the_best_on_validation(evaluate: Evaluator, dataset: str, study: str) -> None:
    exact = {"solver": "lbfgs", "tolerance": 1e-7}
    found = evaluate(trial(0, parameters={**exact, "l2": "auto"}), never)
    aucs = [point.auc for point in found.curve]
    assert found.auc == pytest.approx(max(aucs))
    assert max(aucs) == aucs[-3] or len(aucs) == 14, "two that are no better end it"
    alone = evaluate(trial(1, parameters={**exact, "l2": found.metrics["l2"]}), never)
    assert scores(dataset, study, 0, "test") == pytest.approx(scores(dataset, study, 1, "test"), abs=0.03)
    assert found.costs.steps < 6 * alone.costs.steps, "each begins where the one before ended"
    with pytest.raises(TrialError, match="l2: auto needs solver: lbfgs"):
        evaluate(trial(2, parameters={"l2": "auto"}), never)


def test_a_linear_model_bends_where_numerics_are_cut(evaluate: Evaluator, dataset: str, study: str) -> None:
    exact = {"solver": "lbfgs", "l2": 1.0, "tolerance": 1e-7}
    straight = evaluate(trial(0, parameters=exact), never)
    bent = evaluate(trial(1, parameters={**exact, "bins": 6}), never)
    label, weight = Dataset.open(dataset).labels("train"), Dataset.open(dataset).weights("train")
    losses = [metrics.log_loss(label, scores(dataset, study, number, "train"), weight) for number in (0, 1)]
    assert losses[1] < losses[0] - 0.001, "it may do as the straight one did, and more"
    assert straight.metrics["parameters"] + 3 * (6 + 7) == bent.metrics["parameters"]
    arrays = np.load(Path(study) / "trials/1/weights.npz")
    assert (np.diff(arrays["knots"]) >= 0).all()
    again = evaluate(trial(2, parameters={**exact, "bins": 6}, parent=1), never)
    assert np.array_equal(np.load(Path(study) / "trials/2/weights.npz")["knots"], arrays["knots"])
    assert scores(dataset, study, 2, "test") == pytest.approx(scores(dataset, study, 1, "test"), abs=0.03)
    assert again.costs.steps < bent.costs.steps


def test_adam_comes_near_the_optimum(evaluate: Evaluator) -> None:
    exact = evaluate(trial(0, parameters={"solver": "lbfgs", "l2": 1.0}), never)
    adam = evaluate(trial(1, parameters={**FAST, "l2": 1.0, "schedule": "cosine"}, epochs=8.0), never)
    # Its best weights on validation may be ahead of the optimum on train, never far behind.
    assert adam.loss < exact.loss + 0.01
    assert adam.auc > exact.auc - 0.01


def test_an_offset_is_trained_around_and_measured_with(evaluate: Evaluator, dataset: str, study: str) -> None:
    evaluate(trial(0, parameters={"solver": "lbfgs", "l2": 1.0}), never)
    around = trial(1, parameters={"solver": "lbfgs", "l2": 1.0}, offset=Ensemble.of(0))
    result = evaluate(around, never)
    data = Dataset.open(dataset)
    together = scores(dataset, study, 0, "validation") + scores(dataset, study, 1, "validation")
    auc = metrics.auc(data.labels("validation"), together, data.weights("validation"))
    assert result.auc == pytest.approx(auc, abs=1e-9)
    # What is left for a second model of the same columns is what the penalty of the first kept away.
    assert np.abs(scores(dataset, study, 1, "train")).mean() < 0.2 * np.abs(scores(dataset, study, 0, "train")).mean()


def test_distillation_pulls_towards_the_teacher(evaluate: Evaluator, dataset: str, study: str) -> None:
    exact = {"solver": "lbfgs", "l2": 1.0}
    evaluate(trial(0, "subnetwork"), never)
    taught = trial(1, parameters={**exact, "distillation": 1.0}, teacher=Ensemble((0,), (2.0,), 0.0))
    evaluate(taught, never)
    evaluate(trial(2, parameters=exact), never)
    teacher = 2 * scores(dataset, study, 0, "train")
    far = np.abs(scores(dataset, study, 2, "train") - teacher).mean()
    assert np.abs(scores(dataset, study, 1, "train") - teacher).mean() < far


def test_a_promotion_continues_where_its_parent_ended(evaluate: Evaluator) -> None:
    evaluate(trial(0, epochs=2.0), never)
    promoted = evaluate(trial(1, epochs=5.0, parent=0), never)
    assert promoted.costs.steps == 3 * math.ceil(1500 / 64)
    assert [p.epoch for p in promoted.curve] == [3, 4, 5]
    warm = evaluate(trial(2, epochs=5.0, parent=0, parameters={**FAST, "learning_rate": 0.01}), never)
    assert warm.costs.steps == 5 * math.ceil(1500 / 64)


def test_a_promotion_ends_as_the_long_trial_would(evaluate: Evaluator, dataset: str, study: str) -> None:
    once = {**FAST, "evaluations": 1}
    evaluate(trial(0, "logistic", epochs=2.0, parameters=once), never)
    evaluate(trial(1, "logistic", epochs=4.0, parameters=once, parent=0), never)
    evaluate(trial(2, "logistic", epochs=4.0, parameters=once), never)
    assert np.array_equal(scores(dataset, study, 1, "test"), scores(dataset, study, 2, "test"))


def test_a_stopped_trial_keeps_its_best_weights(evaluate: Evaluator) -> None:
    result = evaluate(trial(0, epochs=50.0), lambda progress: progress.epoch >= 5 and progress.auc is not None)
    assert result.state is State.STOPPED
    assert result.curve[-1].epoch == 5
    assert result.auc == pytest.approx(max(p.auc for p in result.curve if p.auc is not None), abs=1e-12)


def test_a_loops_first_trial_is_trained_as_those_after_it(evaluate: Evaluator, dataset: str, study: str) -> None:
    other = {**SMALL, "accumulator": 1e4}
    for number, parameters in enumerate((SMALL, other, SMALL)):
        evaluate(trial(number, "subnetwork", parameters=parameters), never)
    assert np.array_equal(scores(dataset, study, 0, "test"), scores(dataset, study, 2, "test"))
    assert not np.array_equal(scores(dataset, study, 0, "test"), scores(dataset, study, 1, "test"))


def test_a_time_limit_stops_training(dataset: str, study: str) -> None:
    result = Evaluator(dataset, study, seed=1, trial_seconds=1e-3)(trial(0, epochs=5000.0), never)
    assert result.state is State.STOPPED
    assert result.costs.steps < 5000


def test_patience_ends_a_trial_that_gets_no_better(evaluate: Evaluator) -> None:
    parameters = {**SMALL, "learning_rate": 0.05, "patience": 2, "evaluations": 40}
    result = evaluate(trial(0, "subnetwork", parameters=parameters, epochs=40.0), never)
    assert result.state is State.FINISHED
    aucs = [p.auc for p in result.curve]
    assert len(aucs) < 40
    assert aucs.index(max(aucs)) == len(aucs) - 3
    assert result.auc == pytest.approx(max(aucs), abs=1e-12)


def test_a_fraction_trains_on_fewer_rows(evaluate: Evaluator, dataset: str, study: str) -> None:
    result = evaluate(trial(0, fraction=0.3, epochs=1.0), never)
    rows = len(Dataset.open(dataset).read("train", fraction=0.3, seed=1))
    assert result.costs.steps == math.ceil(rows / 64)
    assert len(scores(dataset, study, 0, "train")) == 1500


def test_divergence_is_a_clear_failure(evaluate: Evaluator) -> None:
    parameters = {**SMALL, "learning_rate": 10.0, "depth": 12, "width": 64, "table_learning_rate": 10.0}
    with pytest.raises(TrialError, match=r"not finite after .* steps: the training diverged; lower the learning rate"):
        evaluate(trial(0, "subnetwork", parameters=parameters, epochs=40.0), never)


def test_a_missing_member_is_a_clear_failure(evaluate: Evaluator) -> None:
    with pytest.raises(DataError, match="trial 7 left no scores"):
        evaluate(trial(0, offset=Ensemble.of(7)), never)


def test_training_rows_are_scored_when_a_trial_is_trained_on_top(evaluate: Evaluator, study: str) -> None:
    """Of the mixture below it, and for that of its members, but not of another trial."""
    begin = Ensemble((0, 1), (1.0, 1.0))
    for each in (trial(0), trial(1, "subnetwork"), trial(2)):
        evaluate(each, never)
    evaluate(Trial(3, "test", "mixture", fit=MixtureFit(begin, (0.0, 0.0), split="validation")), never)

    def scored() -> list[str]:
        return sorted(path.parent.name for path in Path(study).glob("trials/*/scores-train.npy"))

    assert scored() == []
    costs = evaluate(trial(4, offset=Ensemble.of(3)), never).costs
    assert scored() == ["0", "1", "3"]
    assert costs.eval_seconds > evaluate._splits.scoring_seconds > 0
    assert costs.worker_seconds >= costs.train_seconds + costs.eval_seconds


def test_a_mixture_is_fitted_on_cached_scores(evaluate: Evaluator, dataset: str, study: str) -> None:
    evaluate(trial(0), never)
    evaluate(trial(1, "subnetwork"), never)
    fit = MixtureFit(Ensemble((0, 1), (0.0, 0.0)))
    result = evaluate(dataclasses.replace(trial(2, "mixture", parameters={}), fit=fit), never)
    assert result.ensemble is not None
    weights, bias = result.ensemble.weights, result.ensemble.bias
    expected = weights[0] * scores(dataset, study, 0, "test") + weights[1] * scores(dataset, study, 1, "test") + bias
    assert scores(dataset, study, 2, "test") == pytest.approx(expected, abs=1e-5)
    assert result.state is State.FINISHED


def test_streamed_blocks_train_as_well_as_resident_rows(dataset: str, study: str, tmp_path: Path) -> None:
    parameters = {"solver": "lbfgs", "l2": 1.0}
    streamed = Evaluator(dataset, str(tmp_path / "streamed"), seed=1, block_rows=400)
    resident = Evaluator(dataset, study, seed=1)
    exact: list[Result] = [task(trial(0, parameters=parameters), never) for task in (streamed, resident)]
    assert scores(dataset, str(tmp_path / "streamed"), 0, "train") == pytest.approx(
        scores(dataset, study, 0, "train"), abs=2e-3
    )
    assert exact[0].auc == pytest.approx(exact[1].auc, abs=1e-3)
    adam = [task(trial(1, epochs=6.0), never) for task in (streamed, resident)]
    assert adam[0].loss == pytest.approx(adam[1].loss, abs=0.02)
    assert adam[0].costs.rows == pytest.approx(6 * 1500, rel=0.1)
    assert adam[1].state is State.FINISHED


def test_a_worker_trains_on_no_other_dataset_than_the_study_began_with(
    dataset: str, study: str, tmp_path: Path
) -> None:
    shutil.copytree(dataset, tmp_path / "dataset")
    begun = Dataset.open(str(tmp_path / "dataset"))
    known = {"digest": begun.digest, "fingerprints": fingerprints(begun)}
    evaluate = Evaluator(str(tmp_path / "dataset"), study, **known)  # type: ignore[arg-type]
    reorder(tmp_path / "dataset")
    enter(Alone())  # a rank was lost, and the world is a new one
    with pytest.raises(DataError, match="split test is not what it was when the study began"):
        evaluate(trial(0), never)
    with pytest.raises(DataError, match="split test is not what it was when the study began"):
        Evaluator(str(tmp_path / "dataset"), study, **known)  # type: ignore[arg-type]
