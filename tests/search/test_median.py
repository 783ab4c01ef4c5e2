"""The median rule stops what is clearly worse, and nothing else."""

from glmix_automl.search.median import MedianRule, MedianStopping
from glmix_automl.search.random_search import RandomOptions, RandomSearch
from glmix_automl.trial import Progress, Result, State


def told(rule: MedianRule, aucs: list[float], variance: float = 0.0) -> MedianStopping:
    """A strategy whose finished trials had flat curves of three epochs at these AUCs."""
    options = RandomOptions.model_validate({"family": "f", "space": {"x": {"type": "float", "low": 0, "high": 1}}})
    strategy = MedianStopping(RandomSearch(options, 0), rule)
    for number, auc in enumerate(aucs):
        strategy.ask(1)
        curve = tuple(Progress(number, epoch, 1, 1.0, auc=auc) for epoch in (1.0, 2.0, 3.0))
        strategy.tell(Result(number, State.FINISHED, auc, metrics={"auc_variance": variance}, curve=curve))
    return strategy


def at(auc: float, epoch: float = 2.0, number: int = 99) -> Progress:
    return Progress(number, epoch, 1, 1.0, auc=auc)


def test_below_the_median_stops_and_above_goes_on() -> None:
    strategy = told(MedianRule(after_trials=3), [0.6, 0.7, 0.8])
    assert strategy.watch(at(0.65))
    assert not strategy.watch(at(0.71, number=98))


def test_a_difference_within_the_noise_does_not_stop() -> None:
    noisy = told(MedianRule(after_trials=3, deviations=1, correlation=0.5), [0.6, 0.7, 0.8], variance=1e-2)
    assert not noisy.watch(at(0.65))  # the difference has deviation 0.1
    assert noisy.watch(at(0.59, number=98))


def test_the_best_so_far_counts_not_the_latest() -> None:
    strategy = told(MedianRule(after_trials=3), [0.6, 0.7, 0.8])
    assert not strategy.watch(at(0.75, epoch=1.0))
    assert not strategy.watch(at(0.5, epoch=2.0))


def test_nothing_stops_early_on() -> None:
    assert not told(MedianRule(after_trials=4), [0.6, 0.7, 0.8]).watch(at(0.1))
    assert not told(MedianRule(after_trials=3, after_epochs=3), [0.6, 0.7, 0.8]).watch(at(0.1))


def test_curves_that_ended_before_do_not_count() -> None:
    assert not told(MedianRule(after_trials=3), [0.6, 0.7, 0.8]).watch(at(0.1, epoch=5.0))
