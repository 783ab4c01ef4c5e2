"""What each generator proposes from what it is shown."""

import dataclasses
from typing import Any

from glmix_automl.search import STRATEGIES
from glmix_automl.search.growth.generators import make_generator
from glmix_automl.search.growth.state import Candidate, CandidateReport, GrowthState
from glmix_automl.trial import Result, State


def member(**parameters: Any) -> CandidateReport:
    return CandidateReport(Candidate("subnetwork", parameters), trial=0, round=0, entered=True)


def sizes(candidates: Any) -> list[tuple[Any, Any]]:
    return [(c.parameters.get("depth"), c.parameters.get("width")) for c in candidates]


def test_simple_proposes_the_deepest_depth_and_one_more() -> None:
    generator = make_generator({"kind": "simple", "depth": 0, "most": 3, "parameters": {"width": 8}}, 0, STRATEGIES)
    assert sizes(generator.propose(GrowthState())) == [(0, 8), (1, 8)]
    assert sizes(generator.propose(GrowthState(2, members=(member(depth=2), member(depth=1))))) == [(2, 8), (3, 8)]
    assert sizes(generator.propose(GrowthState(3, members=(member(depth=3),)))) == [(3, 8)]


def test_dynamic_deepens_or_widens_the_last_winner() -> None:
    generator = make_generator(
        {"kind": "dynamic", "depth": 1, "width": 240, "widest": 480, "deepest": 3}, 0, STRATEGIES
    )
    assert sizes(generator.propose(GrowthState())) == [(1, 240)]
    won = (member(depth=1, width=240), member(depth=2, width=240))
    assert sizes(generator.propose(GrowthState(2, members=won))) == [(3, 240), (2, 480)]
    assert sizes(generator.propose(GrowthState(3, members=(member(depth=2, width=480),)))) == [(3, 480)]
    assert sizes(generator.propose(GrowthState(4, members=(member(depth=3, width=480),)))) == [(3, 480)]


def test_a_pool_drops_who_takes_part_no_longer() -> None:
    pool = {"kind": "pool", "candidates": [{"family": "logistic", "until": 1}, {"family": "cross", "epochs": 2}]}
    generator = make_generator(pool, 0, STRATEGIES)
    assert [c.family for c in generator.propose(GrowthState())] == ["logistic", "cross"]
    assert generator.propose(GrowthState(round=1)) == [Candidate("cross", {}, "", 2.0)]


def test_a_pool_waits_for_who_is_to_be_alone() -> None:
    listed = [{"family": "logistic", "alone": True, "until": 2}, {"family": "cross"}]
    generator = make_generator({"kind": "pool", "candidates": listed}, 0, STRATEGIES)
    (alone,) = generator.propose(GrowthState())
    assert alone.family == "logistic"
    report = CandidateReport(alone, 0, 0)
    assert generator.propose(GrowthState(reports=(report,))) == []
    entered = dataclasses.replace(report, entered=True)
    assert generator.propose(GrowthState(1, reports=(entered,))) == [alone]
    missed = dataclasses.replace(report, trial=1, round=1, entered=False)
    assert [c.family for c in generator.propose(GrowthState(1, reports=(entered, missed)))] == ["cross"]


def test_tuned_tells_its_strategy_what_each_candidate_brought() -> None:
    space = {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "scale": "log"}}
    options = {
        "kind": "tuned",
        "strategy": "random",
        "candidates": 2,
        "family": "logistic",
        "space": space,
        "trials": 5,
    }
    generator: Any = make_generator(options, 3, STRATEGIES)
    told: list[Result] = []
    generator._inner.tell = told.append
    first = generator.propose(GrowthState())
    assert [c.family for c in first] == ["logistic"] * 2
    assert first[0].parameters != first[1].parameters
    scored = Result(7, State.FINISHED, 0.7, 0.5)
    reports = (
        CandidateReport(first[0], 7, 0, scored, auc=0.8, gain=0.1, entered=True),
        CandidateReport(first[1], 8, 0, Result.failure(8, "NaN"), entered=False),
    )
    second = generator.propose(GrowthState(1, 1, reports[:1], reports, 0.8))
    assert [(r.number, r.auc, r.state) for r in told] == [(0, 0.8, State.FINISHED), (1, None, State.FAILED)]
    generator.propose(GrowthState(1, 2, reports[:1], reports, 0.8))
    assert len(told) == 2  # each is told once
    assert len(second) == 2
