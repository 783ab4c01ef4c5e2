"""The role of a model family: which parameters it takes, and how it builds a coordinate from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from glmix_automl.errors import TrialError
from glmix_automl.schema import Schema
from glmix_automl.trial import Value

if TYPE_CHECKING:
    from glmix_automl.models.coordinate import Coordinate


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter: its default, which also gives its type, and what it may be set to."""

    default: Value
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Value, ...] = ()

    def check(self, where: str, value: Any) -> Value:
        """The value in the parameter's own type.

        Raises:
            TrialError: another type, or out of range; names `where`.
        """
        if self.choices:
            if value not in self.choices:
                raise TrialError(f"{where}: expected one of {', '.join(map(str, self.choices))}, got {value!r}")
            return value
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise TrialError(f"{where}: expected true or false, got {value!r}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TrialError(f"{where}: expected a number, got {value!r}")
        if isinstance(self.default, int) and value != int(value):
            raise TrialError(f"{where}: expected a whole number, got {value!r}")
        if not self.low <= value <= self.high:
            raise TrialError(f"{where}: expected {self.low:g} to {self.high:g}, got {value!r}")
        return int(value) if isinstance(self.default, int) else float(value)


class ModelFamily(Protocol):
    """Builds coordinates of one kind.

    Laws, checked by one suite over every family: loss falls on a separable toy; saving and loading keep the scores
    bit for bit; the same seed gives the same coordinate; an unknown parameter is refused by name.
    """

    @property
    def name(self) -> str:
        """Its key in `FAMILIES`, and `Trial.family`."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What it takes, by name."""
        ...

    def resolve(self, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """All parameters, defaults filled in.

        Raises:
            TrialError: an unknown parameter, or a value out of range.
        """
        ...

    def build(self, schema: Schema, parameters: Mapping[str, Any], seed: int) -> "Coordinate":
        """An untrained coordinate.

        Raises:
            TrialError: as `resolve`.
        """
        ...

    def complexity(self, parameters: Mapping[str, Any]) -> float:
        """r(h) of the AdaNet objective (Cortes et al. 2017)."""
        ...


def resolve(family: str, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Value]:
    """The parameters of a family, checked, defaults filled in.

    Raises:
        TrialError: an unknown parameter, or a value out of range.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise TrialError(f"family {family}: unknown parameter {unknown[0]!r}; it takes {', '.join(sorted(known))}")
    return {
        name: parameter.check(f"family {family}: {name}", given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


@dataclass(frozen=True)
class Training:
    """Parameters of the training loop, which every family trained by gradient steps takes."""

    parameters: Mapping[str, Parameter] = field(
        default_factory=lambda: {
            "batch_size": Parameter(512, "rows per step and rank", low=1, high=1 << 24),
            "learning_rate": Parameter(0.001, "of Adam, for dense weights", low=1e-8, high=10.0),
            "table_learning_rate": Parameter(0.05, "of Adagrad, for embeddings and wide tables", low=1e-8, high=10.0),
            "schedule": Parameter(
                "constant", "of both rates over the budget", choices=("constant", "cosine", "linear")
            ),
            "warmup": Parameter(0.0, "share of the budget over which the rates rise from 0", low=0.0, high=0.9),
            "evaluations": Parameter(
                0, "validations within the budget; 0: one per epoch, at most 10", low=0, high=1000
            ),
            "distillation": Parameter(0.0, "share of the teacher's probability in the labels", low=0.0, high=1.0),
            "patience": Parameter(0, "validations without a better AUC that end training; 0: none", low=0, high=1000),
        }
    )


TRAINING = Training().parameters
