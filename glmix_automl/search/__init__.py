"""What to try next: strategies by name."""

from collections.abc import Callable
from typing import Any

from glmix_automl.search.adanet import AdaNet
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
from glmix_automl.search.strategy import Kind, Strategy


def _grow(options: AdaNetOptions, seed: int) -> Strategy:
    return AdaNet(options, seed, STRATEGIES)


def _stoppable(make: Callable[[Any, int], Strategy]) -> Callable[[Any, int], Strategy]:
    """Lays the median rule over a strategy whose options ask for it."""

    def made(options: FullWork, seed: int) -> Strategy:
        strategy = make(options, seed)
        return strategy if options.median_rule is None else MedianStopping(strategy, options.median_rule)

    return made


STRATEGIES: dict[str, Kind] = {
    "adanet": Kind(AdaNetOptions, _grow),
    "fixed": Kind(FixedOptions, Fixed),
    "coordinates": Kind(CoordinatesOptions, Coordinates),
    "grid": Kind(GridOptions, _stoppable(Grid)),
    "asha": Kind(AshaOptions, Asha),
    "successive_halving": Kind(HalvingOptions, successive_halving),
    "hyperband": Kind(HyperbandOptions, hyperband),
    "bohb": Kind(BohbOptions, hyperband),
    "multitask": Kind(MultitaskOptions, Multitask),
    "optuna": Kind(OptunaOptions, _stoppable(OptunaSampler)),
    "bayes": Kind(BayesOptions, _stoppable(Bayes)),
    "random": Kind(RandomOptions, _stoppable(RandomSearch)),
    "replay": Kind(ReplayOptions, Replay),
}
"""Name in a configuration -> strategy."""
