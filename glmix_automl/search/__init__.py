"""What to try next: strategies by name."""

from collections.abc import Callable
from typing import Any

from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.all_trials import AllTrials, AllTrialsOptions
from glmix_automl.search.asha import Asha, AshaOptions
from glmix_automl.search.bayes import Bayes, BayesOptions
from glmix_automl.search.coordinates import Coordinates, CoordinatesOptions
from glmix_automl.search.entry import FullWork
from glmix_automl.search.fixed import Fixed, FixedOptions
from glmix_automl.search.grid import Grid, GridOptions
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.search.hyperband import (
    BohbOptions,
    HalvingOptions,
    HyperbandOptions,
    hyperband,
    successive_halving,
)
from glmix_automl.search.median import MedianStopping
from glmix_automl.search.multitask import Multitask, MultitaskOptions
from glmix_automl.search.optuna_sampler import OptunaOptions, OptunaSampler
from glmix_automl.search.random_search import RandomOptions, RandomSearch
from glmix_automl.search.replay import Replay, ReplayOptions
from glmix_automl.search.strategy import Strategy, StrategyKind


def _grow(options: AdaNetOptions, seed: int) -> Strategy:
    return AdaNet(options, seed, STRATEGIES)


def _stoppable(make: Callable[[Any, int], Strategy]) -> Callable[[Any, int], Strategy]:
    """Lays the median rule over a strategy whose options ask for it."""

    def made(options: FullWork, seed: int) -> Strategy:
        strategy = make(options, seed)
        return strategy if options.median_rule is None else MedianStopping(strategy, options.median_rule)

    return made


STRATEGIES: dict[str, StrategyKind] = {
    "adanet": StrategyKind(AdaNetOptions, _grow),
    "all": StrategyKind(AllTrialsOptions, AllTrials),
    "fixed": StrategyKind(FixedOptions, Fixed),
    "coordinates": StrategyKind(CoordinatesOptions, Coordinates),
    "grid": StrategyKind(GridOptions, _stoppable(Grid)),
    "asha": StrategyKind(AshaOptions, Asha),
    "successive_halving": StrategyKind(HalvingOptions, successive_halving),
    "hyperband": StrategyKind(HyperbandOptions, hyperband),
    "bohb": StrategyKind(BohbOptions, hyperband),
    "multitask": StrategyKind(MultitaskOptions, Multitask),
    "optuna": StrategyKind(OptunaOptions, _stoppable(OptunaSampler)),
    "bayes": StrategyKind(BayesOptions, _stoppable(Bayes)),
    "random": StrategyKind(RandomOptions, _stoppable(RandomSearch)),
    "replay": StrategyKind(ReplayOptions, Replay),
}
"""Name in a configuration -> strategy."""
