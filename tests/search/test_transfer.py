"""Earlier studies inform a new one, less so the more the data has drifted."""

from glmix_automl.search.bayes import Bayes, BayesOptions
from glmix_automl.search.entry import SpaceWork
from glmix_automl.search.transfer import Observation, Prior, observations
from glmix_automl.trial import Result, State, Trial

SPACE = {"x": {"type": "float", "low": 0, "high": 1}}
WORK = {"family": "f", "space": SPACE, "parameters": {"l2": 1.0}}


def test_only_scored_trials_in_the_space_are_taken_at_their_largest_budget() -> None:
    trials = [
        Trial(0, "r", "f", {"x": 0.1, "l2": 1.0}, epochs=1),
        Trial(1, "r", "f", {"x": 0.1, "l2": 1.0}, epochs=3, parent=0),
        Trial(2, "r", "g", {"x": 0.2, "l2": 1.0}),
        Trial(3, "r", "f", {"x": 0.2, "l2": 9.0}),
        Trial(4, "r", "f", {"x": 7.0, "l2": 1.0}),
        Trial(5, "r", "f", {"x": 0.3, "l2": 1.0}),
    ]
    results = [Result(n, State.FINISHED, 0.6 + n / 100) for n in range(5)] + [Result.failure(5, "lost")]
    found = observations(SpaceWork.model_validate(WORK), trials, results)
    assert found == (Observation(parameters={"x": 0.1}, auc=0.61),)


def test_trials_of_every_family_of_the_space_are_taken() -> None:
    space = {"family": {"choice": ["f", "g"]}, "f.x": SPACE["x"], "g.x": {"type": "float", "low": 5, "high": 6}}
    work = SpaceWork.model_validate({"space": space, "parameters": {"f.l2": 1.0}})
    trials = [
        Trial(0, "r", "f", {"x": 0.1, "l2": 1.0}),
        Trial(1, "r", "g", {"x": 5.5}),
        Trial(2, "r", "g", {"x": 0.1}),
        Trial(3, "r", "f", {"x": 0.2, "l2": 9.0}),
        Trial(4, "r", "h", {"x": 0.1}),
        Trial(5, "r", "g", {"x": 5.5, "l2": 1.0}),
    ]
    found = observations(work, trials, [Result(n, State.FINISHED, 0.6) for n in range(6)])
    assert [each.parameters for each in found] == [{"family": "f", "f.x": 0.1}, {"family": "g", "g.x": 5.5}]


def test_drift_halves_the_weight() -> None:
    assert Prior(drift=0.1).weight == 0.5 * Prior().weight


def test_a_study_with_a_prior_begins_where_the_earlier_one_ended() -> None:
    earlier = tuple(Observation(parameters={"x": x / 20}, auc=0.7 - (x / 20 - 0.8) ** 2) for x in range(21))
    options = BayesOptions.model_validate({**WORK, "trials": 8, "start": 1, "exploration": 0.5})
    strategy = Bayes(options.model_copy(update={"prior": (Prior(observations=earlier),)}), 0)
    tried = []
    while asked := strategy.ask(1):
        tried.append(float(asked[0].parameters["x"] or 0))
        strategy.tell(Result(asked[0].number, State.FINISHED, 0.9 - (tried[-1] - 0.8) ** 2))
    assert abs(tried[1] - 0.8) < 0.15
