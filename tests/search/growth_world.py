"""A small world in which growth can be studied without training networks: candidates are one-column logistic fits.

The log-odds of a row are a sum of parts, one per column. A candidate of family `part` learns the weight of the column
`depth - 1` (so that generators that deepen walk along the columns), on the labels or, where it has an offset, on the
residual. Mixture trials are carried out as workers carry them out. Duration is up to the caller.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from glmix_automl.ensemble import Ensemble
from glmix_automl.models.mixture import CachedScores, Targets
from glmix_automl.search.strategy import Strategy
from glmix_automl.training.mixture import weigh
from glmix_automl.training.mixture_weights import fit_mixture
from glmix_automl.trial import Costs, Result, State, Trial

SPLITS = ("train", "validation", "test")


class World:
    """Carries out trials at once; `trials` and `results` are what a journal would hold."""

    def __init__(self, rows: int = 3000, parts: tuple[float, ...] = (1.0, 0.8, 0.6, 0.4), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.rows = {}, {}
        for split in SPLITS:
            x = rng.normal(size=(rows, len(parts)))
            label = (rng.uniform(size=rows) < 1 / (1 + np.exp(-(x @ np.array(parts))))).astype(np.float32)
            self.x[split], self.rows[split] = x.astype(np.float32), Targets(label)
        self.scores: dict[tuple[int, str], np.ndarray] = {}
        self.trials: dict[int, Trial] = {}
        self.results: dict[int, Result] = {}

    def run(self, trial: Trial) -> Result:
        self.trials[trial.number] = trial
        self.results[trial.number] = self._run(trial)
        return self.results[trial.number]

    def _run(self, trial: Trial) -> Result:
        if trial.parameters.get("fails"):
            return Result.failure(trial.number, "NaN loss")
        if trial.family == "mixture":
            return self._mixed(trial)
        column = (int(trial.parameters.get("depth", 1)) - 1) % self.x["train"].shape[1]
        offset = self.blend(trial.offset, "train")
        teacher = self.blend(trial.teacher, "train")
        share = float(trial.parameters.get("distillation", 0.0)) if trial.teacher else 0.0
        label = (1 - share) * self.rows["train"].label + share / (1 + np.exp(-teacher))
        found = fit_mixture([self.x["train"][:, column]], Targets(label.astype(np.float32), None, offset), [0.0])
        scores = {s: found.weights[0] * self.x[s][:, column] + np.float32(found.bias) for s in SPLITS}
        return self._scored(trial, scores, {})

    def _mixed(self, trial: Trial) -> Result:
        fit = trial.fit
        assert fit is not None
        found = weigh(fit, CachedScores(self.rows[fit.split], lambda member: self.scores[member, fit.split]))
        ensemble = Ensemble(fit.begin.members, found.weights, found.bias)
        scores = {split: self.blend(ensemble, split) for split in SPLITS}
        return dataclasses.replace(self._scored(trial, scores, {"objective": found.objective}), ensemble=ensemble)

    def blend(self, ensemble: Ensemble | None, split: str) -> np.ndarray:
        rows = len(self.rows[split].label)
        return (ensemble or Ensemble()).score(lambda member: self.scores[member, split], rows)

    def _scored(self, trial: Trial, scores: dict[str, np.ndarray], metrics: dict[str, float]) -> Result:
        for split, values in scores.items():
            self.scores[trial.number, split] = values
        total = scores["validation"] + self.blend(trial.offset, "validation")
        label = self.rows["validation"].label
        loss = float(log_loss(label, 1 / (1 + np.exp(-total.astype(float)))))
        costs = Costs(train_seconds=1.0, worker_seconds=1.0)
        return Result(
            trial.number, State.FINISHED, float(roc_auc_score(label, total)), loss, metrics=metrics, costs=costs
        )

    def auc(self, ensemble: Ensemble, split: str = "test") -> float:
        return float(roc_auc_score(self.rows[split].label, self.blend(ensemble, split)))


def play(
    strategy: Strategy,
    world: World,
    slots: int = 1,
    seconds: Callable[[Trial, int], float] = lambda trial, slot: 1.0,
    goal: float = 1.0,
) -> float:
    """Runs a strategy on slots of a virtual clock to its end, or until a mixture reaches the goal on hold-out.

    Returns when the last trial ended.
    """
    clock = 0.0
    out: list[tuple[float, int, int, Trial]] = []
    for _ in range(5000):
        free = [slot for slot in range(slots) if slot not in {s for _, _, s, _ in out}]
        for trial, slot in zip(strategy.ask(len(free)) if free else (), free, strict=False):
            out.append((clock + seconds(trial, slot), trial.number, slot, trial))
        if not out:
            return clock
        ended = min(out)
        out.remove(ended)
        clock = ended[0]
        result = world.run(ended[3])
        if ended[3].family == "mixture" and (result.auc or 0) >= goal:
            return clock
        strategy.tell(result)
    raise AssertionError("growth does not end")


def done(trials: Iterable[Trial], world: World) -> list[Result]:
    """Results of several trials, in order."""
    return [world.run(trial) for trial in trials]
