"""A given list of trials, for example a baseline that takes part in the race."""

from collections.abc import Sequence

import pydantic

from glmix_automl.config import Config
from glmix_automl.search.entry import EntryWork, Epochs, PositiveShare, draft
from glmix_automl.trial import Result, Trial, Value


class FixedTrial(Config):
    """One of the list; what it leaves out is as the entry says."""

    family: str | None = None
    """Model family."""
    parameters: dict[str, Value] = pydantic.Field(default_factory=dict)
    """Hyperparameters, laid over those of the entry."""
    epochs: Epochs | None = None
    """Budget in passes over the training rows."""
    fraction: PositiveShare | None = None
    """Share of the training entities."""


class FixedOptions(EntryWork):
    """The trials, in order; without a list, the one that the entry's own family and parameters describe."""

    trials: tuple[FixedTrial, ...] = (FixedTrial(),)
    """The list."""

    @pydantic.model_validator(mode="after")
    def _check_families(self) -> "FixedOptions":
        if not self.trials:
            raise ValueError("list at least one trial")
        if self.family is None and any(trial.family is None for trial in self.trials):
            raise ValueError("name the model family, of the entry or of each trial: family: logistic, subnetwork, ...")
        return self


class Fixed:
    """Tries the list in order; ends with its last trial."""

    def __init__(self, options: FixedOptions, seed: int) -> None:
        self._options, self._seed, self._next = options, seed, 0

    def ask(self, n: int) -> list[Trial]:
        """The next `n` of the list."""
        first, self._next = self._next, min(self._next + n, len(self._options.trials))
        return [self._draft(number) for number in range(first, self._next)]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        self._next += len(trials)

    def _draft(self, number: int) -> Trial:
        trial = self._options.trials[number]
        work = self._options if trial.family is None else self._options.model_copy(update={"family": trial.family})
        return draft(work, self._seed, number, trial.parameters, epochs=trial.epochs, fraction=trial.fraction)

    def tell(self, result: Result) -> None:
        """Ignored: the list does not depend on results."""
