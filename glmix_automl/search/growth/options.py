"""What growth is configured by."""

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.search.entry import Epochs
from glmix_automl.search.growth.arms import Arms
from glmix_automl.search.growth.default_arms import make_default_arms
from glmix_automl.search.growth.generators import Pool, make_generator
from glmix_automl.search.growth.state import Generator, Training
from glmix_automl.search.strategy import StrategyKind
from glmix_automl.trial import FitSplit, Value, Weighting


class AdaNetOptions(Config):
    """An ensemble that grows: who proposes, how candidates are trained, what the objective charges, who enters."""

    generator: dict[str, Any] | None = None
    """`kind`: arms, simple, dynamic, pool, tuned, or the dotted path of a class; the other keys are its own options.
    None: arms that follow from the dataset (`growth.default_arms`)."""
    rounds: int = pydantic.Field(default=10, ge=1)
    """Entries after which no new candidate is started."""
    candidates: int = pydantic.Field(default=100, ge=1)
    """How many are trained at most."""
    patience: int | None = pydantic.Field(default=None, ge=1)
    """Candidates in a row that do not enter before growth ends; none: as many as the generator last proposed, or as it
    has arms."""
    barrier: bool = False
    """Textbook rounds: the next one begins when all candidates of this one have been tried."""
    epochs: Epochs = 1.0
    """Budget of a candidate in passes over the training rows, where the generator names none."""
    parameters: dict[str, dict[str, Value]] = {}
    """Family -> parameters of all its candidates, under those the generator gives."""
    training: Training = "residual"
    """What a candidate is trained on, where the generator does not say."""
    distillation: Literal["none", "adaptive", "born_again"] = "none"
    """Teacher of a candidate from the second round on: the ensemble so far, or the member that entered last."""
    distillation_weight: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of the teacher in every label."""
    warm_start: bool = False
    """A candidate begins from the last member of its family, as far as their weights have the same shapes."""
    ensemble: Literal["grow", "solo", "all"] = "grow"
    """What is tried: the ensemble so far and one candidate, the candidate alone, or it and all that have arrived."""
    weighting: Weighting = "learned"
    """Mixture weights: fitted with the penalty below; 1 / members each; or 1 each, the sum of boosting."""
    fit: FitSplit = "validation"
    """Rows on which weights are fitted. On validation they make up for members that overfit; what an ensemble is worth
    there is then found by cross-fitting over the rows' members."""
    complexity_penalty: float = pydantic.Field(default=1e-4, ge=0)
    """Lambda of the objective: charged per unit of weight and complexity r(h)."""
    penalty: float = pydantic.Field(default=1e-5, ge=0)
    """Beta of the objective: charged per unit of weight."""
    select: Literal["objective", "auc", "loss"] = "auc"
    """What is best: AdaNet's objective on the training rows, or AUC or loss on the validation rows."""
    holdout: Literal["auc", "loss"] = "auc"
    """What must improve on the validation rows for anything to enter."""
    improvement: float = pydantic.Field(default=1e-4, ge=0)
    """By how much it must improve."""

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "AdaNetOptions":
        if self.training == "residual" and self.ensemble == "solo":
            raise ValueError("a candidate trained on the residual cannot stand alone; use training: labels with solo")
        if self.training == "residual" and self.weighting == "mean":
            raise ValueError("candidates trained on the residual add up; use weighting: sum or learned, not mean")
        if self.training == "labels" and self.weighting == "sum":
            raise ValueError("candidates trained on the labels do not add up; use weighting: mean or learned, not sum")
        return self

    def make_generator(self, seed: int, strategies: Mapping[str, StrategyKind]) -> Generator:
        """What proposes candidates.

        Raises:
            ConfigError: it cannot be made from these options, or its candidates do not fit them.
        """
        given = make_default_arms(None) if self.generator is None else self.generator
        generator = make_generator(given, seed, strategies)
        pool: list[Any] = list(generator.candidates) if isinstance(generator, Pool) else []
        pool += [turn for arm in generator.arms for turn in arm.turns] if isinstance(generator, Arms) else []
        are_mixed = any(c.training not in (None, self.training) for c in pool)
        if are_mixed and (self.weighting not in ("learned", "positive") or self.ensemble == "solo"):
            raise ConfigError(
                "candidates trained in both ways need weighting: learned or positive, and not ensemble: solo"
            )
        return generator
