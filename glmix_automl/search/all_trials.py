"""All trials of a race weighed together when the others have ended: what each found by itself, in one model.

Stacking with weights that are not below 0 (Breiman 1996, Stacked Regressions) on cached scores, judged by
cross-fitting. Nothing is trained but the weights, so it costs about a second.
"""

from collections.abc import Mapping, Sequence

import pydantic

from glmix_automl.config import Config
from glmix_automl.ensemble import MIXTURE, Ensemble
from glmix_automl.search.growth.state import complexity
from glmix_automl.seeds import derive
from glmix_automl.trial import MixtureFit, Result, Trial, find_twin


class AllTrialsOptions(Config):
    """Which trials, and what the objective charges for them."""

    most: int = pydantic.Field(default=30, ge=1)
    """How many are weighed at most: of each family the best on validation, then the best of all."""
    complexity_penalty: float = pydantic.Field(default=1e-4, ge=0)
    """Lambda of AdaNet's objective: charged per unit of weight and complexity r(h)."""
    penalty: float = pydantic.Field(default=1e-5, ge=0)
    """Beta of the objective: charged per unit of weight."""


class AllTrials:
    """Asks nothing while others race; then `gather` gives the one trial that weighs what they have trained."""

    def __init__(self, options: AllTrialsOptions, seed: int) -> None:
        self._options, self._seed = options, seed
        self._weighed: tuple[int, ...] = ()

    def ask(self, n: int) -> list[Trial]:
        """Nothing."""
        return []

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        for trial in trials:
            self._weighed = trial.fit.begin.members if trial.fit else ()

    def tell(self, result: Result) -> None:
        """Needs nothing of it."""

    def gather(self, trials: Mapping[int, Trial], results: Mapping[int, Result], number: int) -> list[Trial]:
        """The mixture of the best of them; none where there are no two, or they were weighed already.

        Args:
            trials, results: of the other entries, in the study's numbers, which are those of the answer too.
            number: of the new trial.
        """
        members = self._members(trials, results)
        if len(members) < 2 or members == self._weighed:
            return []
        self._weighed = members
        sizes = (complexity(trials[member], results[member]) for member in members)
        penalties = tuple(self._options.complexity_penalty * size + self._options.penalty for size in sizes)
        fit = MixtureFit(Ensemble(members, (0.0,) * len(members)), penalties, "positive", "validation")
        seed = derive(self._seed, "all", number)
        return [Trial(number=number, strategy="", family=MIXTURE, seed=seed, fit=fit, tags={"members": "all"})]

    def _members(self, trials: Mapping[int, Trial], results: Mapping[int, Result]) -> tuple[int, ...]:
        scored = {n for n, result in results.items() if result.state.scored and trials[n].family != MIXTURE}
        usable = [n for n in scored if find_twin(trials[n], trials) not in scored]
        ranked = sorted(usable, key=lambda n: (-(results[n].quality or 0.0), n))
        firsts = {trials[n].family: n for n in reversed(ranked)}  # the best of each family
        ranked.sort(key=lambda n: n not in firsts.values())
        return tuple(sorted(ranked[: self._options.most]))
