"""The trials of growth or of its replay, read back from a journal: who entered when, and what the ensemble is."""

from collections.abc import Mapping

from glmix_automl.ensemble import MIXTURE, Ensemble, flatten
from glmix_automl.search.growth.state import Attempt, EntryRule, fitted_ensemble
from glmix_automl.trial import Result, Trial, list_needed


def final_mixture(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> Trial | None:
    """The mixture trial that is an entry's ensemble: the last that growth accepted, or the only one of a replay.

    None where nothing has entered, or the entry grows nothing.
    """
    return GrowthTrials(trials, results, entry).final()


class GrowthTrials:
    """The trials of one entry, and which mixture fits became the ensemble."""

    def __init__(self, trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None) -> None:
        self.trials = {n: t for n, t in trials.items() if "role" in t.tags and entry in (None, t.strategy)}
        self.results = results
        self.fitted = {n: result.ensemble for n, result in results.items() if result.ensemble is not None}
        self.grew = [trial for trial in self.trials.values() if "growth" in trial.tags]
        self.mixtures = {t.tags["growth"]: t for t in self.grew if t.family == MIXTURE}

    def attempt(self, trial: Trial) -> Attempt:
        """A mixture trial with what it tried: those of its members that were not in the ensemble before."""
        before = self.mixtures.get(trial.tags["base"])
        known = set(self.ensemble(before).members) if before is not None else set()
        members = trial.fit.begin.members if trial.fit else ()
        return Attempt(trial, tuple(m for m in members if m not in known), self.results.get(trial.number))

    def ensemble(self, trial: Trial) -> Ensemble:
        """What a mixture trial found; empty before, and where it found nothing."""
        result = self.results.get(trial.number)
        return Ensemble() if result is None else fitted_ensemble(result)

    def flat(self, ensemble: Ensemble | None) -> Ensemble:
        """The same over coordinates; empty for none."""
        return flatten(ensemble or Ensemble(), self.fitted)

    def chain(self) -> list[Attempt]:
        """The attempts that entered, in order."""
        bases = {t.tags["base"] for t in self.grew} - {""}
        last = max(bases, key=int, default="")
        # The last entry may have no trial that builds on it; the rule that it entered by is in the trials themselves.
        rivals = [self.attempt(t) for t in self.mixtures.values() if t.tags["base"] == last]
        base = self.results.get(self.mixtures[last].number) if last else None
        best = EntryRule.of(rivals[0].trial).best(rivals, base) if rivals else None
        last = best.trial.tags["growth"] if best else last
        chain: list[Attempt] = []
        while last:
            chain.append(self.attempt(self.mixtures[last]))
            last = self.mixtures[last].tags["base"]
        return chain[::-1]

    def final(self) -> Trial | None:
        """The mixture trial that is the ensemble: of growth the last that entered, of a replay its only one."""
        chain = self.chain()
        if chain or self.grew:
            return chain[-1].trial if chain else None
        replayed = [trial for trial in self.trials.values() if trial.family == MIXTURE]
        return next((trial for trial in replayed if self.ensemble(trial).members), None)

    def needed(self, numbers: set[int]) -> set[int]:
        """These and all coordinates that their offsets and teachers are made of, and their parents."""
        return set(list_needed(numbers, self.trials, self.fitted))
