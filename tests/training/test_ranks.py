"""Trials in real worlds of two ranks, and of four, against one rank."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.models import FAMILIES
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Result, State, Trial
from glmix_automl.workers.collective import Alone
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.pool import WorkerPool
from glmix_automl.workers.task_spec import TaskSpec
from tests.training.tasks import stepped

pytestmark = pytest.mark.horovod
SECONDS = 240.0
LARGE = {"depth": 2, "width": 64, "embedding_width": 4, "bag_width": 8, "accumulator": 0.1}
STEPPED: list[tuple[str, dict[str, Any]]] = [
    ("subnetwork", {"depth": 1, "width": 8, "embedding_width": 4, "embedding_l2": 0.01, "weight_decay": 0.01}),
    ("cross", {}),
    ("factorisation", {}),
    ("logistic", {"l2": 0.1, "l1": 0.01}),
    ("subnetwork", LARGE),
    ("subnetwork", LARGE),
    ("logistic", {}),
]
"""What is stepped by a world and by one rank: the middle of it wherever tests run, all of it in slow ones."""


@contextmanager
def world(averaging: str, ranks: int, dataset: str, study: str) -> Iterator[WorkerPool]:
    """One slot of several ranks."""
    arguments = {"dataset": dataset, "study": study, "seed": 1, "averaging": averaging, "trial_seconds": SECONDS}
    with local_pool(TaskSpec("tests.training.tasks.Ranked", arguments), slots=1, ranks=ranks) as pool:
        yield pool


def test_a_world_reaches_what_one_rank_reaches_and_steps_as_one(dataset: str, study: str, tmp_path: Path) -> None:
    with world("synchronous", 2, dataset, study) as pool:
        assert not differences(pool, dataset, study, tmp_path)
        assert not differing_steps(pool, dataset, study, STEPPED[3:6])


@pytest.mark.slow
def test_averages_reach_what_one_rank_reaches(dataset: str, study: str, tmp_path: Path) -> None:
    with world("anytime", 2, dataset, study) as pool:
        assert not differences(pool, dataset, study, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["synchronous", "anytime"])
def test_four_ranks_do_too(dataset: str, study: str, tmp_path: Path, averaging: str) -> None:
    with world(averaging, 4, dataset, study) as pool:
        assert not differences(pool, dataset, study, tmp_path)
        assert averaging == "anytime" or not differing_steps(pool, dataset, study, STEPPED)


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["synchronous", "anytime"])
def test_pairs_of_members_rows_are_learned_by_two_ranks(
    dataset: str, study: str, tmp_path: Path, averaging: str
) -> None:
    """Members lie whole on a rank, so each rank draws pairs of its own."""
    parameters = {"loss": "pairwise", "batch_size": 16, "learning_rate": 0.02}
    alone = Evaluator(dataset, str(tmp_path / "alone"), seed=1)
    single = alone(Trial(0, "test", "logistic", {**parameters, "batch_size": 32}, epochs=6, seed=3), lambda _: False)
    with world(averaging, 2, dataset, study) as pool:
        result = run(pool, 0, "logistic", parameters, 6)
    assert result.state is State.FINISHED
    assert result.auc == pytest.approx(single.auc, abs=0.03)
    assert single.auc is not None
    assert single.auc > 0.6


def run(
    pool: WorkerPool,
    number: int,
    family: str,
    parameters: dict[str, Any],
    epochs: float,
    offset: Ensemble | None = None,
) -> Result:
    trial = Trial(number, "test", family, parameters, epochs=epochs, offset=offset, seed=3)
    found: Result = pool.submit(trial).result(SECONDS)
    assert found.error is None, found.error
    return found


def differences(world: WorkerPool, dataset: str, study: str, tmp_path: Path) -> list[str]:
    """What a world's trials come to otherwise than one rank's."""
    found = []
    alone_study = str(tmp_path / "alone")
    alone = Evaluator(dataset, alone_study, seed=1)
    exact = {"solver": "lbfgs", "l2": 1.0, "tolerance": 1e-9}
    run(world, 0, "logistic", exact, 1)
    alone(Trial(0, "test", "logistic", exact, seed=3), lambda _: False)
    effects = {"entity": "item", "features": "n* b0"}  # entities are shared out, each solved as by one rank
    run(world, 3, "random_effect", effects, 1, Ensemble.of(0))  # asks for the training rows' scores, made by all ranks
    alone(Trial(3, "test", "random_effect", effects, offset=Ensemble.of(0), seed=3), lambda _: False)
    for split in ("train", "test"):
        one, two = (np.load(f"{place}/trials/0/scores-{split}.npy") for place in (alone_study, study))
        if two != pytest.approx(one, abs=2e-3):
            found.append(f"logistic regression, {split}: {np.abs(two - one).max()}")
    run(world, 2, "random_effect", effects, 1)
    alone(Trial(2, "test", "random_effect", effects, seed=3), lambda _: False)
    for split in ("train", "test"):
        one, two = (np.load(f"{place}/trials/2/scores-{split}.npy") for place in (alone_study, study))
        if not np.array_equal(one, two):
            found.append(f"random effects, {split}: {np.abs(two - one).max()}")
    # Several calls of the loop between two validations: of the same steps on every rank, whatever its clock says.
    parameters = {"batch_size": 8, "learning_rate": 0.02, "depth": 1, "width": 8}
    result = run(world, 1, "subnetwork", parameters, 4)
    single = alone(
        Trial(1, "test", "subnetwork", {**parameters, "batch_size": 8 * world.ranks}, epochs=4, seed=3), lambda _: False
    )
    if result.state is not State.FINISHED or result.auc != pytest.approx(single.auc, abs=0.05):
        found.append(f"subnetwork: {result.state}, AUC {result.auc}, not {single.auc}")
    if result.costs.rows != pytest.approx(4 * 1500, rel=0.5):
        found.append(f"subnetwork: {result.costs.rows} rows, not {4 * 1500}")
    return found


def differing_steps(world: WorkerPool, dataset: str, study: str, cases: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Weights that are others after steps of a world than after those of one rank with all their rows; that did not
    move; that two runs alike do not share to the last bit.

    Of the subnetwork's tables: 16 lookups of a rank's batch touch fewer than 26 rows, so ranks gather slices of
    distinct rows; the 32 or more of all of them give a gradient of the whole table.
    """
    steps = {"steps": 100, "batch": 8}
    for number, (family, parameters) in enumerate(cases):
        run(world, number, family, {**parameters, **steps}, 1)
    together = [dict(np.load(f"{study}/{number}.npz")) for number in range(len(cases))]
    twice = [place for place, case in enumerate(cases) if cases.count(case) > 1]
    found = [
        f"{n}: another order of sums"
        for a in twice
        for n, w in together[a].items()
        if (w != together[twice[0]][n]).any()
    ]
    opened = Dataset.open(dataset)
    for number, (family, parameters) in enumerate(cases):
        alone = stepped(opened, family, {**parameters, **steps}, Alone(), parts=world.ranks)
        start = FAMILIES[family].build(opened.schema, parameters, 0).arrays
        assert set(together[number]) == set(alone)
        for name, weights in together[number].items():
            if weights != pytest.approx(alone[name], abs=1e-5):
                found.append(f"{family} {name}: {np.abs(weights - alone[name]).max()}")
            if not np.abs(weights - start[name]).max() > 0.01:
                found.append(f"{family} {name}: did not move")
    return found
