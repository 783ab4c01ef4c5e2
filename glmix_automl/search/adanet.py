"""AdaNet growth as a strategy: an ensemble that candidates enter one by one, without a barrier between rounds.

Cortes et al. 2017 (AdaNet: Adaptive Structural Learning of Artificial Neural Networks) and Weill et al. 2019
(arXiv 1905.00080). Every piece of work is a trial: a candidate is trained on the labels alone or on the residual (its
offset is the score of the ensemble so far), then a trial of family `mixture` weighs (ensemble + candidate) on cached
scores. Members that are in the ensemble never run forward again, so a round costs what its candidates cost.

Without a barrier a free slot starts the next candidate against the ensemble as it is now, and one that arrives after
others have entered is tried all the same: the convex fit decides whether it still helps. With `barrier` the rounds are
those of the paper: all candidates of a round start from one ensemble, the best enters, the others are dropped.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from glmix_automl.ensemble import MIXTURE, Ensemble
from glmix_automl.search.growth.arms import Arms
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.search.growth.state import (
    Attempt,
    Candidate,
    CandidateReport,
    EntryRule,
    GrowthState,
    Training,
    complexity,
)
from glmix_automl.search.strategy import StrategyKind
from glmix_automl.seeds import derive
from glmix_automl.trial import TRAINED_BY, MixtureFit, Result, Trial

PENALTY_DIGITS = 9  # roots of another processor may differ in later ones, and a study may go on there


class AdaNet:
    """Grows until nothing improves on hold-out, or the entries or candidates are used up."""

    def __init__(
        self, options: AdaNetOptions, seed: int, strategies: Mapping[str, StrategyKind] = MappingProxyType({})
    ) -> None:
        """An empty ensemble.

        Args:
            options: how it grows.
            seed: of the entry.
            strategies: what a tuned generator may propose by, by name.

        Raises:
            ConfigError: the generator cannot be made, or does not fit the options.
        """
        self._options, self._seed = options, seed
        self._generator = options.make_generator(seed, strategies)
        self._rule = EntryRule(options.select, options.holdout, options.improvement)
        self._trials: list[Trial] = []
        self._out: set[int] = set()
        self._told: list[Result] = []
        self._reports: dict[int, CandidateReport] = {}
        self._attempts: dict[int, Attempt] = {}  # since the last decision
        self._arrived: list[int] = []  # candidates that wait to be tried
        self._queue: deque[Candidate] = deque()
        self._base: Attempt | None = None  # the one that is the ensemble now
        self._entries = self._proposals = self._misses = self._round_size = 0
        self._exhausted = False

    @property
    def ensemble(self) -> Ensemble:
        """The members so far and their weights; empty before the first entry."""
        return Ensemble() if self._base is None else self._base.ensemble

    @property
    def state(self) -> GrowthState:
        """What the generator is shown."""
        reports = tuple(self._reports[number] for number in sorted(self._reports))
        auc = None if self._base is None or self._base.result is None else self._base.result.quality
        members = tuple(self._reports[number] for number in self.ensemble.members)
        return GrowthState(self._entries, self._proposals, members, reports, auc)

    def ask(self, n: int) -> list[Trial]:
        """Mixture fits of what has arrived first, then new candidates; none while it must wait, or at the end."""
        self._act()
        asked: list[Trial] = []
        while len(asked) < n:
            trial = self._next()
            if trial is None:
                break
            asked.append(trial)
        return asked

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`. The generator proposes again, as what was not started yet is in no journal; of what was
        started the journal's trials count.
        """
        self._act()
        for trial in trials:
            if trial.family == MIXTURE:
                members = trial.fit.begin.members if trial.fit is not None else ()
                candidates = tuple(number for number in members if number in self._arrived)
                self._arrived = [number for number in self._arrived if number not in candidates]
                self._attempts[trial.number] = Attempt(trial, candidates)
            else:
                self._reports[trial.number] = CandidateReport(self._recalled(trial), trial.number, self._entries)
            self._asked(trial)
        if len(trials) < n and not self._arrived and self._may_start():
            unexpected = self._proposal()
            self._queue.extendleft([] if unexpected is None else [unexpected])

    def _recalled(self, trial: Trial) -> Candidate:
        name, proposed = trial.tags["generator"], self._proposal()
        if proposed is not None and (proposed.family, proposed.name or proposed.family) == (trial.family, name):
            return proposed
        return Candidate(trial.family, trial.parameters, name, trial.epochs, fraction=trial.fraction)

    def tell(self, result: Result) -> None:
        """Kept until the next ask, which sorts them: the order of tells in between does not matter."""
        self._told.append(result)

    def _act(self) -> None:
        for result in sorted(self._told, key=lambda result: result.number):
            self._out.discard(result.number)
            if result.number in self._attempts:
                self._attempts[result.number] = dataclasses.replace(self._attempts[result.number], result=result)
            else:
                self._arrive(result)
        self._told.clear()
        if self._attempts and not any(number in self._out for number in self._attempts) and not self._held_back:
            self._decide()

    def _arrive(self, result: Result) -> None:
        number = result.number
        self._reports[number] = dataclasses.replace(self._reports[number], result=result)
        if result.state.scored:
            self._arrived.append(number)
        else:
            self._miss([number])

    @property
    def _held_back(self) -> bool:
        """Whether the textbook round is not complete yet."""
        return self._options.barrier and bool((self._queue and self._open) or self._out or self._arrived)

    @property
    def _open(self) -> bool:
        """Whether there may be further candidates at all."""
        return self._entries < self._options.rounds and len(self._reports) < self._options.candidates

    def _decide(self) -> None:
        """The best attempt becomes the ensemble; what improved less is tried again, what did not is dropped."""
        base = None if self._base is None else self._base.result
        attempts = [self._attempts[number] for number in sorted(self._attempts)]
        self._attempts.clear()
        for attempt in attempts:
            self._note(attempt, base)
        best = self._rule.best(attempts, base)
        for attempt in attempts:
            if attempt is best:
                self._mark(attempt.candidates, entered=False)
                self._mark(attempt.kept, entered=True)
            elif self._rule.improves(attempt, base) and not self._options.barrier:
                self._arrived.extend(attempt.candidates)
            else:
                self._miss(attempt.candidates)
        if best is not None:
            self._base, self._misses = best, 0
            self._entries += 1

    def _note(self, attempt: Attempt, base: Result | None) -> None:
        if attempt.result is None or attempt.result.quality is None:
            return
        before = 0.5 if base is None or base.quality is None else base.quality
        for number in attempt.candidates:
            auc = attempt.result.quality
            self._reports[number] = dataclasses.replace(self._reports[number], auc=auc, gain=auc - before)

    def _mark(self, numbers: Iterable[int], entered: bool) -> None:
        for number in numbers:
            self._reports[number] = dataclasses.replace(self._reports[number], entered=entered)

    def _miss(self, numbers: Iterable[int]) -> None:
        missed = list(numbers)
        self._misses += len(missed)
        self._mark(missed, entered=False)

    def _next(self) -> Trial | None:
        if self._arrived:
            return self._asked(self._attempt())
        if self._may_start() and (candidate := self._proposal()) is not None:
            return self._asked(self._start(candidate))
        return None

    def _asked(self, trial: Trial) -> Trial:
        self._trials.append(trial)
        self._out.add(trial.number)
        return trial

    def _may_start(self) -> bool:
        if not self._open:
            return False
        undecided = sum(report.entered is None for report in self._reports.values())
        if self._queue and self._options.barrier:
            return True  # a round once begun is carried through
        if self._options.barrier and undecided:
            return False
        # As many as may miss in a row before growth ends; more at once would be trained for nothing.
        arms = len(self._generator.arms) if isinstance(self._generator, Arms) else 0  # each may miss once
        patience = self._options.patience or arms or self._round_size
        return not self._round_size or self._misses + undecided < patience

    def _proposal(self) -> Candidate | None:
        if not self._queue and not self._exhausted:
            proposed = self._generator.propose(self.state)
            self._proposals += 1
            self._queue.extend(proposed)
            self._round_size = len(proposed) or self._round_size
            # A generator that waits for results gives none now; with nothing out it has ended.
            self._exhausted = not proposed and not self._out
        return self._queue.popleft() if self._queue else None

    def _start(self, candidate: Candidate) -> Trial:
        options, number = self._options, len(self._trials)
        self._reports[number] = CandidateReport(candidate, number, self._entries)
        ensemble = None if self._base is None else Ensemble.of(self._base.trial.number)
        parameters = {**options.parameters.get(candidate.family, {}), **candidate.parameters}
        teacher = self._teacher(ensemble)
        if teacher is not None:
            parameters["distillation"] = options.distillation_weight
        return Trial(
            number=number,
            strategy="",
            family=candidate.family,
            parameters=parameters,
            epochs=candidate.epochs or options.epochs,
            fraction=candidate.fraction,
            parent=self._parent(candidate),
            # One column however many members there are: the mixture trial's own scores.
            offset=ensemble if self._training(candidate) == "residual" else None,
            teacher=teacher,
            seed=derive(self._seed, "candidate", number),
            tags=self._tags(number, candidate.name or candidate.family, "candidate")
            | ({TRAINED_BY: candidate.trained_by} if candidate.trained_by else {}),
        )

    def _training(self, candidate: Candidate) -> Training:
        return candidate.training or self._options.training

    def _teacher(self, ensemble: Ensemble | None) -> Ensemble | None:
        if ensemble is None or self._options.distillation == "none":
            return None
        if self._options.distillation == "adaptive":
            return ensemble
        return Ensemble.of(self.ensemble.members[-1])  # born again: of the last subnetwork

    def _parent(self, candidate: Candidate) -> int | None:
        """The last member of the same family: its embeddings are where the candidate's begin."""
        if not self._options.warm_start:
            return None
        kin = [m for m in self.ensemble.members if self._trials[m].family == candidate.family]
        return kin[-1] if kin else None

    def _attempt(self) -> Trial:
        """A mixture trial of the next arrived candidate (`grow`, `solo`), or of all of them (`all`)."""
        together = len(self._arrived) if self._options.ensemble == "all" else 1
        self._arrived.sort()
        candidates, self._arrived = tuple(self._arrived[:together]), self._arrived[together:]
        so_far = Ensemble() if self._options.ensemble == "solo" else self.ensemble
        members = (*so_far.members, *candidates)
        # A residual candidate was trained as a term of weight 1, and one on labels begins at 1 only where it is alone.
        is_term = [self._training(self._reports[c].candidate) == "residual" or not so_far.members for c in candidates]
        begin = [float(each) for each in is_term]
        number = len(self._trials)
        names = " + ".join(self._reports[c].candidate.name or self._reports[c].candidate.family for c in candidates)
        trial = Trial(
            number=number,
            strategy="",
            family=MIXTURE,
            seed=derive(self._seed, "mixture", number),
            tags={**self._tags(number, names, "mixture"), **self._rule.tags},
            fit=MixtureFit(
                Ensemble(members, (*so_far.weights, *begin), so_far.bias),
                tuple(map(self._penalty, members)),
                self._options.weighting,
                self._options.fit,
            ),
        )
        self._attempts[number] = Attempt(trial, candidates)
        return trial

    def _penalty(self, member: int) -> float:
        result = self._reports[member].result
        assert result is not None
        exact = self._options.complexity_penalty * complexity(self._trials[member], result) + self._options.penalty
        return float(f"{exact:.{PENALTY_DIGITS}g}")

    def _tags(self, number: int, name: str, role: str) -> dict[str, str]:
        """`growth` and `base` count the strategy's own trials, so that a journal can be read back (`GrowthTrials`)."""
        base = "" if self._base is None else str(self._base.trial.number)
        return {"round": str(self._entries), "generator": name, "role": role, "growth": str(number), "base": base}
