"""What the random effects of a model are: whose, how many of them, how far they reach and how far they are pulled."""

from dataclasses import dataclass

import numpy as np

from glmix_automl.ensemble import Ensemble
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.study.history import History

FAMILY = "random_effect"
DEVIATION = "deviation_"
TERMS_SHOWN = 4  # the widest
MEMORISED = 0.5  # share of entities with labels of one kind above which an effect is doubted


@dataclass(frozen=True)
class EffectRow:
    """One random effect of a model.

    Attributes:
        trial: its number.
        entity, features: whose it is, and which slopes it has, as the trial names them.
        entities, below, not_converged, carried: how many have a model, have too few rows for one, did not reach the
            optimum, are known from an earlier model only.
        deviations: the widest terms and the standard deviation of their coefficients over entities.
        shrinkage: share of the coefficients that the pull toward 0 decides, not the data.
        variance: share of the variance of the model's log-odds on test rows that it explains.
        constant: share of the entities with several rows all of whose labels are the same.
    """

    trial: int
    entity: str
    features: str
    entities: int
    below: int
    not_converged: int
    carried: int
    deviations: tuple[tuple[str, float], ...]
    shrinkage: float
    variance: float
    constant: float

    @property
    def may_memorise(self) -> bool:
        """Whether labels within most entities are of one kind, so that an effect learns these and nothing else."""
        return self.constant > MEMORISED


def effect_rows(history: History, evaluation: Evaluation, number: int) -> list[EffectRow]:
    """The random effects in the model of a trial, in the model's order.

    Raises:
        DataError: cached scores are missing.
    """
    model, found = evaluation.model(number), []
    if not any(history.trials[member].family == FAMILY for member in model.members):
        return []
    whole = evaluation.scores(number).astype(np.float64)
    spread = max(float(whole.var()), 1e-12)
    for member, weight in zip(model.members, model.weights, strict=True):
        if history.trials[member].family != FAMILY:
            continue
        own = evaluation.part(Ensemble((member,), (weight,))).astype(np.float64)
        found.append(_row(history, member, float(np.cov(own, whole, bias=True)[0, 1]) / spread))
    return found


def _row(history: History, number: int, variance: float) -> EffectRow:
    trial, metrics = history.trials[number], history.results[number].metrics
    named = {key.removeprefix(DEVIATION): value for key, value in metrics.items() if key.startswith(DEVIATION)}
    widest = sorted(named.items(), key=lambda pair: -pair[1])[:TERMS_SHOWN]
    return EffectRow(
        trial=number,
        entity=str(trial.parameters.get("entity", "")) or "the first entity",
        features=str(trial.parameters.get("features", "")),
        entities=int(metrics.get("entities", 0)),
        below=int(metrics.get("entities_below", 0)),
        not_converged=int(metrics.get("entities_not_converged", 0)),
        carried=int(metrics.get("entities_carried", 0)),
        deviations=tuple(widest),
        shrinkage=1 - metrics.get("effective_degrees", 0.0) / max(metrics.get("parameters", 0.0), 1.0),
        variance=variance,
        constant=metrics.get("constant_entities", 0.0),
    )
