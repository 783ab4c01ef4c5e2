"""Asynchronous model-based search, AMBS (Balaprakash et al. 2018; DeepHyper): a surrogate proposes, nobody waits.

The middle first and a few points around it (`centred_prior.py`); from then on each proposal is the candidate that the
acquisition likes best, given everything told and a lie for everything pending (constant liar, Ginsbourger et al. 2010),
so a free slot is filled at once. What a Gaussian process expects to gain is divided by the seconds it would take (Snoek
et al. 2012). With many pending each proposal draws its own exploration (qUCB, Wilson et al. 2017; Egele et al. 2022).
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

import numpy as np
import pydantic

from glmix_automl.search.entry import FullWork, SeenPoints, draft, point
from glmix_automl.search.objectives import Constraint, Goal, Goals, Observations
from glmix_automl.search.random_search import Sampling, design
from glmix_automl.search.surrogates.acquisition import ACQUISITIONS, Decay, log_expected_improvement
from glmix_automl.search.surrogates.acquisition import Name as AcquisitionName
from glmix_automl.search.surrogates.candidates import CandidateSampler
from glmix_automl.search.surrogates.centred_prior import CentredPrior
from glmix_automl.search.surrogates.encoding import Encoding
from glmix_automl.search.surrogates.forest import Forest
from glmix_automl.search.surrogates.gaussian_process import GaussianProcess
from glmix_automl.search.surrogates.seconds import expected_seconds
from glmix_automl.search.surrogates.surrogate import Floats64, Posterior, Surrogate
from glmix_automl.search.transfer import Prior
from glmix_automl.seeds import generator
from glmix_automl.space import UnitPoint
from glmix_automl.trial import Result, Trial

SurrogateName: TypeAlias = Literal["gaussian_process", "random_forest", "extra_trees"]
INCUMBENTS = 8
"""Best points whose neighbourhood is searched."""
CROWD = 16
"""Pending trials from which each proposal draws its own exploration, if not told otherwise."""
BOUND = 1.96
"""Kappa of the confidence bound, if not told otherwise."""


class BayesOptions(FullWork):
    """How AMBS learns and chooses."""

    trials: int = pydantic.Field(default=100, ge=1)
    """How many to run; a small space ends earlier, as no point is tried twice."""
    start: int | None = pydantic.Field(default=None, ge=1)
    """Points of the blind start; by default one more than there are parameters, at least 4 and at most 10."""
    start_sampling: Sampling = "sobol"
    """How the start is spread, before it is drawn inwards."""
    surrogate: SurrogateName = "gaussian_process"
    """What learns. The Gaussian process needs the fewest trials; from `forest_from` on, trees take over."""
    forest_from: int = pydantic.Field(default=300, ge=1)
    """Trials, told and pending, from which extra trees replace a Gaussian process: its price grows with their cube."""
    acquisition: AcquisitionName | None = None
    """What a candidate is judged by. By default the expected improvement where a Gaussian process says what is
    expected, and the confidence bound of trees, in a crowd, and where there is more than the AUC to look at."""
    exploration: Annotated[float, pydantic.Field(ge=0)] | None = None
    """Kappa of the confidence bound, by default 1.96; xi of the two improvements, in standard deviations of the values,
    by default 0."""
    per_second: bool = True
    """Divides the expected improvement by the worker-seconds expected of a candidate (Snoek et al. 2012), where the AUC
    is all there is to look at."""
    decay: Decay | None = None
    """Lets exploration fall and begin anew; constant if left out."""
    liar: Literal["believe", "min", "mean", "max"] = "believe"
    """Value imagined for pending trials: what is expected of each, or of all told the worst, the mean or the best."""
    own_exploration: bool | None = None
    """Whether each proposal draws its own kappa, exponentially around `exploration`; by default in a crowd."""
    candidates: int = pydantic.Field(default=1500, ge=10)
    """Points compared per call."""
    prior: tuple[Prior, ...] = ()
    """Results of earlier studies that inform the start, down-weighted by the drift of their datasets."""
    constraints: tuple[Constraint, ...] = ()
    """Bounds on further metrics of a result that a good trial keeps."""
    second: Goal | None = None
    """A second metric to trade against the AUC: proposals then spread along the Pareto front of both."""


def surrogate(name: SurrogateName) -> Surrogate:
    """A fresh surrogate by name."""
    return GaussianProcess() if name == "gaussian_process" else Forest(name)


class _Learnt(NamedTuple):
    """What a choice is made from."""

    observations: dict[str, Observations]
    candidates: UnitPoint
    name: SurrogateName
    encoding: Encoding


class Bayes:
    """AMBS as a strategy; ends after `trials`, or when a finite space is used up."""

    def __init__(self, options: BayesOptions, seed: int) -> None:
        self._options, self._seed = options, seed
        self._space = options.space
        start = options.start or min(max(len(self._space.names) + 1, 4), 10)
        if options.prior:
            start = min(start, 2)  # earlier studies already say where to look
        self._start = min(start, options.trials)
        centred, rng = CentredPrior(self._space), generator(seed, "start")
        rows = design(self._space, max(self._start, 64), options.start_sampling, rng, centred)
        self._design = rows[: options.trials]
        self._candidates = CandidateSampler(self._space, options.candidates, centred)
        self._seen = SeenPoints()
        self._points: list[UnitPoint] = []  # by trial number
        self._pending: set[int] = set()
        self._results: dict[int, Result] = {}
        self._told: list[int] = []  # numbers in the order the surrogate learns them
        self._goals = Goals(options.constraints, options.second)
        self._learners: dict[str, tuple[str, Surrogate]] = {}

    def tell(self, result: Result) -> None:
        """Learns how a trial ended; one that failed counts as the worst so far."""
        self._results[result.number] = result
        self._pending.discard(result.number)

    def ask(self, n: int) -> list[Trial]:
        """The `n` most promising points, each chosen with the ones before it imagined as pending."""
        self._take_note()
        wanted = min(n, self._options.trials - len(self._points))
        trials: list[Trial] = []
        while (left := min(wanted - len(trials), self._uninformed)) > 0:
            points = self._even(left)
            if not len(points):
                break
            trials += [self._propose(at) for at in points]
        if len(trials) < wanted:
            trials += [self._propose(at) for at in self._choose(wanted - len(trials))]
        return trials

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`: learns what it had learnt then, and takes the points that were chosen."""
        self._take_note()
        wanted, blind = min(n, self._options.trials - len(self._points)), max(self._uninformed, 0)
        for trial in trials[:blind]:
            self._remember(trial)
        if blind < wanted:
            self._learn(generator(self._seed, "choose", len(self._points)))
        for trial in trials[blind:]:
            self._remember(trial)

    def _take_note(self) -> None:
        # Sorted: the order in which results came in between two asks leaves no trace.
        self._told += sorted(self._results.keys() - set(self._told))

    @property
    def _uninformed(self) -> int:
        """Points that still belong to the start; all, until there are two results (or earlier studies) to compare."""
        scored = sum(self._results[number].state.scored for number in self._told)
        compared = scored + len(self._options.prior) >= 2
        return (self._start if compared else self._options.trials) - len(self._points)

    def _even(self, n: int) -> UnitPoint:
        """At most `n` new points, [points, parameters]: the next of the start's design, then independent draws.

        Drawn together: a large pool would wait for thousands of draws one by one. None only if the space is used up.
        """
        ahead = self._design[len(self._points) :]
        if len(ahead) < n or not self._seen.new(ahead):
            rng = generator(self._seed, "even", len(self._points))
            drawn = self._candidates.draw(np.empty((0, 0)), self._seen, rng)
            ahead = np.vstack([ahead, drawn[rng.permutation(len(drawn))]])  # a small space comes in order
        return ahead[self._seen.new(ahead)[:n]]

    def _propose(self, at: UnitPoint) -> Trial:
        trial = draft(self._options, self._seed, len(self._points), self._space.from_unit(at[None])[0])
        self._remember(trial)
        return trial

    def _remember(self, trial: Trial) -> None:
        self._points.append(point(self._options, trial))
        self._seen.add(self._points[-1][None])
        self._pending.add(trial.number)

    def _learn(self, rng: np.random.Generator) -> _Learnt | None:
        """Fits the surrogates to all that was told; None where there is nothing to learn from or left to try."""
        results = [self._results[i] for i in self._told]
        observations = self._goals.observations(self._rows(self._told), results, self._earlier, self._options.prior)
        if not observations:
            return None
        primary = observations["auc"]
        order = np.argsort(-primary.values, kind="stable")[:INCUMBENTS]
        candidates = self._candidates.draw(primary.points[order], self._seen, rng)
        if not len(candidates):
            return None
        name = self._surrogate_for(len(primary.values) + len(self._pending))
        encoding = Encoding(self._space, absent=0.5 if name == "gaussian_process" else -1.0)
        for metric, seen in observations.items():
            self._learner(metric, name).fit(encoding(seen.points), seen.values, seen.weights, rng)
        return _Learnt(observations, candidates, name, encoding)

    def _choose(self, n: int) -> list[UnitPoint]:
        options, number = self._options, len(self._points)
        rng = generator(self._seed, "choose", number)
        learnt = self._learn(rng)
        if learnt is None:
            return []
        observations, candidates, name, encoding = learnt
        encoded, pending = encoding(candidates), encoding(self._rows(sorted(self._pending)))
        posteriors: dict[str, Posterior] = {
            metric: self._learner(metric, name).posterior(pending, seen.lie(options.liar), encoded)
            for metric, seen in observations.items()
        }
        primary = observations["auc"]
        chosen: list[UnitPoint] = []
        free = np.ones(len(candidates), bool)
        acquisition = self._acquisition(name, len(posteriors))
        seconds = self._seconds(encoding, encoded) if acquisition == "expected_improvement" else np.ones(len(encoded))
        for offset in range(min(n, len(candidates))):
            exploration = self._exploration(acquisition, number + offset, rng)
            if acquisition == "expected_improvement" and len(posteriors) == 1:
                moments = posteriors["auc"].moments()
                worth = log_expected_improvement(*moments, primary.best, exploration) - np.log(seconds)
            else:
                worth = self._goals.worth(posteriors, observations, ACQUISITIONS[acquisition], exploration, rng)
            position = int(np.argmax(np.where(free, worth, -np.inf)))
            free[position] = False
            chosen.append(candidates[position])
            if len(chosen) < n:
                for posterior in posteriors.values():
                    posterior.imagine(position)
        return chosen

    def _acquisition(self, name: SurrogateName, metrics: int) -> AcquisitionName:
        if self._options.acquisition:
            return self._options.acquisition
        alone = metrics == 1 and len(self._pending) < CROWD
        return "expected_improvement" if name == "gaussian_process" and alone else "confidence_bound"

    def _seconds(self, encoding: Encoding, encoded: Floats64) -> Floats64:
        """Worker-seconds expected of candidates, up to a factor, [candidates]."""
        seconds = {i: self._results[i].costs.worker_seconds for i in self._told if self._results[i].state.scored}
        known = [i for i, each in seconds.items() if each > 0]
        if not self._options.per_second or not known:
            return np.ones(len(encoded))
        return expected_seconds(encoding(self._rows(known)), np.array([seconds[i] for i in known]), encoded)

    def _exploration(self, acquisition: AcquisitionName, trial: int, rng: np.random.Generator) -> float:
        options, bound = self._options, acquisition == "confidence_bound"
        exploration = options.exploration
        if exploration is None:
            exploration = BOUND if bound else 0.0
        if options.decay:
            exploration = options.decay.at(exploration, trial)
        own = options.own_exploration
        if own is None:
            own = bound and len(self._pending) >= CROWD
        return exploration * float(rng.exponential()) if own else exploration

    def _surrogate_for(self, trials: int) -> SurrogateName:
        if self._options.surrogate == "gaussian_process" and trials >= self._options.forest_from:
            return "extra_trees"
        return self._options.surrogate

    def _learner(self, metric: str, name: SurrogateName) -> Surrogate:
        """The surrogate of a metric, kept from call to call as long as it is of the same kind."""
        if metric not in self._learners or self._learners[metric][0] != name:
            self._learners[metric] = (name, surrogate(name))
        return self._learners[metric][1]

    def _rows(self, numbers: list[int]) -> UnitPoint:
        return np.array([self._points[number] for number in numbers]).reshape(len(numbers), len(self._space.names))

    def _earlier(self, prior: Prior) -> UnitPoint:
        return self._space.snap(self._space.to_unit([observation.parameters for observation in prior.observations]))
