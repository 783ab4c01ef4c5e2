"""What is weighed when a race is over."""

from glmix_automl.search.all_trials import AllTrials, AllTrialsOptions
from glmix_automl.trial import Result, State, Trial


def race(aucs: dict[int, tuple[str, float | None]]) -> tuple[dict[int, Trial], dict[int, Result]]:
    trials = {n: Trial(n, "entry", family, fit=None) for n, (family, _) in aucs.items() if family != "mixture"}
    results = {
        n: Result.failure(n, "lost") if aucs[n][1] is None else Result(n, State.FINISHED, aucs[n][1]) for n in trials
    }
    return trials, results


def test_the_best_of_every_family_and_then_the_best_are_weighed_once() -> None:
    aucs = {n: ("subnetwork", 0.7 + n / 100) for n in range(5)} | {7: ("logistic", 0.6), 8: ("trees", None)}
    trials, results = race(aucs)
    strategy = AllTrials(AllTrialsOptions(most=3), 0)
    assert strategy.ask(3) == []
    (trial,) = strategy.gather(trials, results, 9)
    assert trial.fit is not None
    assert trial.fit.begin.members == (3, 4, 7)
    assert (trial.number, trial.fit.weighting, trial.fit.split) == (9, "positive", "validation")
    assert strategy.gather(trials, results, 10) == [], "there is nothing new"
    again = AllTrials(AllTrialsOptions(most=3), 0)
    again.recall([trial], 1)
    assert again.gather(trials, results, 10) == [], "nor after a resume"
    assert AllTrials(AllTrialsOptions(), 0).gather(*race({0: ("logistic", 0.7)}), 1) == [], "one is no mixture"
