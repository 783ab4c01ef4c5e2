"""Any Optuna sampler as a strategy, so that users keep what they know. Optional: needs `pip install optuna`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from glmix_automl.errors import ConfigError
from glmix_automl.search.entry import FullWork, draft
from glmix_automl.seeds import derive
from glmix_automl.space import Space
from glmix_automl.trial import Result, Trial, Value

ATTEMPTS = 20
"""Forbidden suggestions in a row after which the sampler is given up; it is told that they failed."""


class OptunaOptions(FullWork):
    """Which sampler, and how it is made."""

    trials: int = pydantic.Field(default=100, ge=1)
    """How many to run."""
    sampler: str = "TPESampler"
    """Name of a class of `optuna.samplers`."""
    arguments: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Its keyword arguments; the seed comes from the study."""


class OptunaSampler:
    """Asks an in-memory Optuna study and tells it how trials ended."""

    def __init__(self, options: OptunaOptions, seed: int) -> None:
        """Makes the sampler.

        Raises:
            ConfigError: Optuna is not installed, or has no such sampler, or refuses its arguments.
        """
        try:
            import optuna
        except ImportError as error:
            raise ConfigError("strategy optuna needs Optuna: pip install optuna") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kind = getattr(optuna.samplers, options.sampler, None)
        if not isinstance(kind, type) or not issubclass(kind, optuna.samplers.BaseSampler):
            raise ConfigError(f"sampler: optuna.samplers has no sampler {options.sampler!r}; for example TPESampler")
        self._options, self._seed, self._kind = options, seed, kind
        self._asked: list[Any] = []  # Optuna's trials by our number
        self._news: dict[int, Result] = {}
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler())

    def _sampler(self) -> Any:
        begun = [len(self._asked)] if self._asked else []
        try:
            return self._kind(**{**self._options.arguments, "seed": derive(self._seed, "optuna", *begun) % 2**32})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sampler {self._options.sampler}: {error}") from error

    def tell(self, result: Result) -> None:
        """Keeps the result for the next ask, which takes them in the order of numbers."""
        self._news[result.number] = result

    def ask(self, n: int) -> list[Trial]:
        """What the sampler suggests."""
        self._take_note()
        return [self._next() for _ in range(min(n, self._options.trials - len(self._asked)))]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`. A sampler's own generator begins anew, from a seed for this moment: what follows is not what
        would have followed.
        """
        self._take_note()
        for trial in trials:
            self._study.enqueue_trial(to_suggestions(self._options.locate(trial), self._options.space))
            asked = self._study.ask()
            suggest(asked, self._options.space)
            self._asked.append(asked)
        self._study.sampler = self._sampler()

    def _take_note(self) -> None:
        from optuna.trial import TrialState

        for number in sorted(self._news):
            result = self._news[number]
            if result.state.scored:
                self._study.tell(self._asked[number], result.quality)
            else:
                self._study.tell(self._asked[number], state=TrialState.FAIL)
        self._news = {}

    def _next(self) -> Trial:
        from optuna.trial import TrialState

        for _ in range(ATTEMPTS):
            asked = self._study.ask()
            found = suggest(asked, self._options.space)
            if self._options.space.contains(found):
                break
            self._study.tell(asked, state=TrialState.FAIL)
        else:
            raise ConfigError(
                f"sampler {self._options.sampler} suggested {ATTEMPTS} forbidden combinations in a row; "
                "write them as conditions, or shrink the ranges"
            )
        self._asked.append(asked)
        return draft(self._options, self._seed, len(self._asked) - 1, found)


def suggest(asked: Any, space: Space) -> dict[str, Value]:
    """The suggestion of an Optuna trial for every parameter that applies given those before it."""
    found: dict[str, Value] = {}
    for name in space.ordered:
        parameter = space.parameters[name]
        if not space.applies(name, found):
            continue
        if parameter.type == "float" and parameter.scale != "logit":
            found[name] = asked.suggest_float(name, parameter.low, parameter.high, log=parameter.scale == "log")
        elif parameter.type == "int" and parameter.scale != "power_of_two":
            found[name] = asked.suggest_int(name, parameter.low, parameter.high, log=parameter.scale == "log")
        elif parameter.type in ("choice", "bool"):
            position = asked.suggest_categorical(name, list(range(int(parameter.levels))))
            found[name] = parameter.value(position)
        elif parameter.type == "int":
            found[name] = parameter.low << asked.suggest_int(name, 0, int(parameter.levels) - 1)
        else:  # logit: even on the unit interval, bent by us
            unit = asked.suggest_float(name, 0.0, 1.0)
            found[name] = space.at(name, unit)
    return found


def to_suggestions(point: Mapping[str, Value], space: Space) -> dict[str, Any]:
    """A point of the space in the words of `suggest`."""
    numbers: dict[str, Any] = {}
    for name, value in point.items():
        parameter = space.parameters[name]
        if parameter.type in ("choice", "bool"):
            numbers[name] = int(parameter.number(value))
        elif parameter.type == "int" and parameter.scale == "power_of_two":
            numbers[name] = (int(value or 0) // parameter.low).bit_length() - 1
        elif parameter.type == "float" and parameter.scale == "logit":
            numbers[name] = float(space.to_unit([point])[0, space.names.index(name)])
        else:
            numbers[name] = value
    return numbers
