"""A model family: a name, typed parameters, how a coordinate is built from them, who trains it, and what it costs."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pydantic

from glmix_automl.config import Config, nearest, parse
from glmix_automl.errors import ConfigError, TrialError
from glmix_automl.schema import Schema

if TYPE_CHECKING:
    from glmix_automl.models.coordinate import Coordinate


class FamilyParameters(Config):
    """Base of every family's parameters: each has a default, and neither text nor true or false is taken for a number,
    nor what is not finite.
    """

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        """Takes 64.0 for 64: a space may draw whole numbers as floats."""
        wants_whole = cls.model_fields[str(info.field_name)].annotation is int
        return int(value) if wants_whole and isinstance(value, float) and value.is_integer() else value


P = TypeVar("P", bound=FamilyParameters)


@dataclass(frozen=True)
class ModelFamily(Generic[P]):
    """Builds coordinates of one kind. A new family is a file with its parameters, its coordinate and one of these, a
    line in the registry and a line in the suite of laws.

    Laws, checked by one suite over every family: loss falls on a separable toy; saving and loading keep the scores
    bit for bit; the same seed gives the same coordinate; an unknown parameter is refused by name.

    Attributes:
        name: its key in `FAMILIES`, and `Trial.family`.
        parameters: what it takes, a model with a default for each.
        make: `make(schema, parameters, seed)`, an untrained coordinate; imports TensorFlow, if it needs it, when called
            (`later`), so that a race can be checked without.
        trainer: name of the trainer (`training.trainer.TRAINERS`), by parameters.
        complexity: r(h) of the AdaNet objective (Cortes et al. 2017), by parameters.
    """

    name: str
    parameters: type[P]
    make: Callable[[Schema, P, int], "Coordinate"]
    trainer: Callable[[P], str]
    complexity: Callable[[P], float]

    def resolve(self, given: Mapping[str, Any]) -> P:
        """All parameters, checked, defaults filled in.

        Raises:
            TrialError: an unknown parameter, or a value out of range.
        """
        known = self.parameters.model_fields
        where = f"family {self.name}"
        takes = f"; it takes {', '.join(sorted(known)) or 'none'}"
        found = [f"{where}: unknown parameter {n!r}{nearest(n, known) or takes}" for n in given if n not in known]
        try:
            parsed = parse({name: value for name, value in given.items() if name in known}, self.parameters, where)
        except ConfigError as error:
            raise TrialError("\n".join([*found, str(error)])) from error
        if found:
            raise TrialError("\n".join(found))
        return parsed

    def build(self, schema: Schema, given: Mapping[str, Any], seed: int) -> "Coordinate":
        """An untrained coordinate.

        Raises:
            TrialError: as `resolve`.
        """
        return self.make(schema, self.resolve(given), seed)


def later(path: str) -> Callable[[Schema, Any, int], "Coordinate"]:
    """A coordinate's class by its dotted path, imported when the first one is made."""
    module, _, name = path.rpartition(".")

    def make(schema: Schema, parameters: Any, seed: int) -> "Coordinate":
        made: Coordinate = getattr(importlib.import_module(module), name)(schema, parameters, seed)
        return made

    return make
