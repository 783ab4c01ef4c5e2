"""Generators of candidates, by name; a class of one's own is named by its dotted path."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pydantic

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.search.entry import Epochs
from glmix_automl.search.growth.arms import Arms
from glmix_automl.search.growth.state import Candidate, Generator, GrowthState, Training
from glmix_automl.search.strategy import Strategy, StrategyKind
from glmix_automl.seeds import derive
from glmix_automl.trial import Result, Trial, Value


class Simple(Config):
    """As deep as the deepest member so far, and one deeper (AdaNet's simple_dnn generator)."""

    family: str = "subnetwork"
    """Family with a parameter `depth`."""
    depth: int = pydantic.Field(default=1, ge=0)
    """Depth that growth begins with."""
    most: int = pydantic.Field(default=8, ge=1)
    """Depth that is not passed."""
    parameters: dict[str, Value] = {}
    """What all of them share."""

    def propose(self, state: GrowthState) -> list[Candidate]:
        """Two candidates; one where the largest depth is reached."""
        depth = max([int(_number(r.candidate, "depth", self.depth)) for r in state.members], default=self.depth)
        return [_candidate_of_size(self, {"depth": d}) for d in (depth, depth + 1) if d <= self.most]


class Dynamic(Config):
    """Deepens or widens what won last: after N layers of F units, N + 1 of F and N of 2F (the talk's N@F growth)."""

    family: str = "subnetwork"
    """Family with parameters `depth` and `width`."""
    depth: int = pydantic.Field(default=1, ge=1)
    """Depth of the first candidate."""
    width: int = pydantic.Field(default=32, ge=1)
    """Width of the first candidate."""
    deepest: int = pydantic.Field(default=8, ge=1)
    """Depth that is not passed."""
    widest: int = pydantic.Field(default=1024, ge=1)
    """Width that is not passed."""
    parameters: dict[str, Value] = {}
    """What all of them share."""

    def propose(self, state: GrowthState) -> list[Candidate]:
        """One candidate at first, then two; the last winner's own size where it can grow neither way."""
        if not state.members:
            return [_candidate_of_size(self, {"depth": self.depth, "width": self.width})]
        won = state.members[-1].candidate
        depth, width = int(_number(won, "depth", self.depth)), int(_number(won, "width", self.width))
        grown = [(depth + 1, width)] * (depth < self.deepest) + [(depth, 2 * width)] * (2 * width <= self.widest)
        return [_candidate_of_size(self, {"depth": d, "width": w}) for d, w in grown or [(depth, width)]]


class PoolCandidate(Config):
    """One of a pool."""

    family: str
    """Key of the model family."""
    parameters: dict[str, Value] = {}
    """Hyperparameters."""
    name: str = ""
    """What it is called; the family, if empty."""
    epochs: Epochs | None = None
    """Budget in passes over the training rows; none: the strategy's."""
    until: int | None = pydantic.Field(default=None, ge=1)
    """Rounds it takes part in, counted from the first; none: all."""
    training: Training | None = None
    """What it is trained on; none: as the strategy says."""
    alone: bool = False
    """Whether the others of its round wait until it has entered or failed to: a cheap beginning, on whose residual the
    next is to be trained, is worth waiting for."""

    @property
    def candidate(self) -> Candidate:
        """What is proposed."""
        return Candidate(self.family, self.parameters, self.name, self.epochs, self.training)


class Pool(Config):
    """The same list of families in every round (the AutoEnsemble of the original): they compete for entry."""

    candidates: tuple[PoolCandidate, ...] = pydantic.Field(min_length=1)
    """The list, in the order in which they are started."""

    def propose(self, state: GrowthState) -> list[Candidate]:
        """All that take part in this round; one that is to be alone first, and nothing while it is awaited."""
        listed = [c for c in self.candidates if c.until is None or state.round < c.until]
        missed = [r.candidate for r in state.reports if r.round == state.round and r.entered is False]
        alone = [c.candidate for c in listed if c.alone and c.candidate not in missed]
        if alone:
            return [] if any(report.entered is None for report in state.reports) else alone[:1]
        return [c.candidate for c in listed if not c.alone]


class Tuned:
    """Hyperparameters of each round proposed by another strategy, which is told what each candidate brought.

    What it is told as AUC is that of (ensemble + candidate): late in growth every candidate scores high, so a model of
    it should be one that copes with a drift (trees do).
    """

    def __init__(
        self, strategies: Mapping[str, StrategyKind], strategy: str, candidates: int = 4, seed: int = 0, **options: Any
    ) -> None:
        """Candidates per round, and the strategy, one of `strategies`, that proposes them with its own options.

        Raises:
            ConfigError: no such strategy, or options that it refuses.
        """
        kind = config.pick(strategies, strategy, "generator: no strategy")
        self._inner: Strategy = kind.make(config.parse(options, kind.options, "generator"), derive(seed, "tuned"))
        self._candidates = candidates
        self._trial_of: dict[str, int] = {}
        self._told: set[int] = set()

    def propose(self, state: GrowthState) -> list[Candidate]:
        """What the strategy asks for, as many as a round has; fewer or none where it waits or has ended."""
        for report in state.reports:
            inner = self._trial_of.get(report.candidate.name)
            if inner is not None and report.entered is not None and inner not in self._told:
                self._told.add(inner)
                self._inner.tell(_as_inner(inner, report.result, report.auc))
        return [self._candidate(trial) for trial in self._inner.ask(self._candidates)]

    def _candidate(self, trial: Trial) -> Candidate:
        name = f"{trial.family} {trial.number}"
        self._trial_of[name] = trial.number
        return Candidate(trial.family, trial.parameters, name, trial.epochs)


def _as_inner(number: int, result: Result | None, auc: float | None) -> Result:
    if result is None or not result.state.scored or auc is None:
        return Result.failure(number, "the candidate failed or could not be mixed")
    return Result(number, result.state, auc, result.loss, result.metrics, costs=result.costs)


GENERATORS: dict[str, Callable[..., Generator]] = {
    "arms": Arms,
    "simple": Simple,
    "dynamic": Dynamic,
    "pool": Pool,
    "tuned": Tuned,
}
"""Name in a configuration -> generator."""


def make_generator(options: Mapping[str, Any], seed: int, strategies: Mapping[str, StrategyKind]) -> Generator:
    """The generator that `kind` names, a key of `GENERATORS` or a dotted path, made from the other options.

    A class that takes an argument `seed` is given one, and all strategies if it takes `strategies`.

    Raises:
        ConfigError: there is no such generator, or it refuses its options.
    """
    given = dict(options)
    name = given.pop("kind", None)
    if not isinstance(name, str):
        raise ConfigError(f"generator: missing key 'kind': one of {', '.join(GENERATORS)}, or a dotted path")
    kind = GENERATORS[name] if name in GENERATORS else _import(name)
    if isinstance(kind, type) and issubclass(kind, Config):
        parsed: Any = config.parse(given, kind, f"generator {name}")
        return parsed
    taken = inspect.signature(kind).parameters
    if "seed" in taken:
        given.setdefault("seed", seed)
    if "strategies" in taken:
        given["strategies"] = strategies
    try:
        made: Any = kind(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"generator {name}: {error}") from error
    return made


def _import(path: str) -> Callable[..., Generator]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(GENERATORS)
        raise ConfigError(
            f"generator {path!r}: neither one of {known} nor a class that can be imported: {error}"
        ) from error
    if not hasattr(found, "propose"):
        raise ConfigError(f"generator {path!r}: it has no method propose(state)")
    maker: Callable[..., Generator] = found
    return maker


def _candidate_of_size(kind: Simple | Dynamic, size: Mapping[str, Value]) -> Candidate:
    label = " ".join(f"{name} {value}" for name, value in size.items())
    return Candidate(kind.family, {**kind.parameters, **size}, f"{kind.family} {label}")


def _number(candidate: Candidate, name: str, default: int) -> float:
    value = candidate.parameters.get(name, default)
    return value if isinstance(value, int | float) else default
