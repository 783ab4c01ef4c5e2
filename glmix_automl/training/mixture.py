"""Training of a mixture: trained coordinates weighed anew on their cached scores."""

import time

from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import CachedScores, Mixture
from glmix_automl.training.mixture_weights import FittedMixture, assess_mixture, fit_mixture
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Start, Trainer, Watch
from glmix_automl.trial import MixtureFit


class MixtureWeights(Trainer[Mixture]):
    """Finds the weights that `Trial.fit` asks for; the budget is not used, as the problem is convex and small."""

    def begin(self, coordinate: Mixture, start: Start) -> tuple[Mixture, float]:
        """See `Trainer`."""
        coordinate.fit = start.trial.fit
        return coordinate, 0.0

    def train(self, coordinate: Mixture, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`."""
        started, wanted = time.perf_counter(), coordinate.fit
        if wanted is None:
            raise TrialError("a trial of family mixture needs a fit: whom to weigh")
        found = weigh(wanted, source.whole() if wanted.split == "train" else source.validation())
        coordinate.ensemble = Ensemble(wanted.begin.members, found.weights, found.bias)
        metrics = {"objective": found.objective, "penalty": found.penalty, f"{wanted.split}_loss": found.loss}
        metrics |= {"members": float(len(coordinate.ensemble.pruned.members)), "mixture_steps": float(found.steps)}
        seconds = time.perf_counter() - started
        return Fit(steps=found.steps, train_seconds=seconds, metrics=metrics, ensemble=coordinate.ensemble)


def weigh(fit: MixtureFit, rows: CachedScores) -> FittedMixture:
    """The weights that a fit asks for, on the rows of its split.

    Raises:
        TrialError: scores that are not finite.
    """
    columns = [rows.of(member) for member in fit.begin.members]
    penalties = fit.penalties or (0.0,) * len(columns)
    if fit.weighting == "learned":
        return fit_mixture(columns, rows.targets, penalties, fit.begin.weights, fit.begin.bias)
    each = 1.0 / len(columns) if fit.weighting == "mean" else 1.0
    return assess_mixture(columns, rows.targets, [each] * len(columns), 0.0, penalties)
