"""What to try next: strategies by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from glmix_automl.config import Config
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.adanet_options import AdaNetOptions
from glmix_automl.search.bayes import Bayes, BayesOptions
from glmix_automl.search.fixed import Fixed, FixedOptions
from glmix_automl.search.grid import Grid, GridOptions
from glmix_automl.search.random_search import RandomOptions, RandomSearch
from glmix_automl.search.replay import Replay, ReplayOptions
from glmix_automl.search.strategy import Strategy


class Kind(NamedTuple):
    """A way of choosing: the options it is configured by, and `make(options, seed)`, which gives the strategy."""

    options: type[Config]
    make: Callable[[Any, int], Strategy]


STRATEGIES: dict[str, Kind] = {
    "adanet": Kind(AdaNetOptions, AdaNet),
    "fixed": Kind(FixedOptions, Fixed),
    "grid": Kind(GridOptions, Grid),
    "bayes": Kind(BayesOptions, Bayes),
    "random": Kind(RandomOptions, RandomSearch),
    "replay": Kind(ReplayOptions, Replay),
}
"""Name in a configuration -> strategy."""
