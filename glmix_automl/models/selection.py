"""Which features of a dataset a coordinate has: named, or left out, by name or pattern."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from glmix_automl.errors import TrialError
from glmix_automl.schema import Feature, Schema

if TYPE_CHECKING:
    from glmix_automl.models.rows import Rows

LEFT_OUT = "-"
"""Before a name or pattern of what is left out."""


@dataclass(frozen=True)
class FeatureSelection:
    """Some features of a schema, and where they are among all.

    Attributes:
        schema: with these features only.
        numerics, categoricals, bags: the place of each among those of its kind; None where all of the kind are there.
    """

    schema: Schema
    numerics: tuple[int, ...] | None
    categoricals: tuple[int, ...] | None
    bags: tuple[int, ...] | None

    @classmethod
    def of(cls, schema: Schema, features: str, family: str) -> "FeatureSelection":
        """Resolves names and patterns as `chosen` does; refuses to have no feature left of some.

        Raises:
            TrialError: there is no such feature, or none is left.
        """
        names = chosen(schema, features, family)
        if schema.features and not names:
            raise TrialError(f"family {family}: features {features!r}: leaves none of the dataset's")
        kept = schema.model_copy(update={"features": tuple(f for f in schema.features if f.name in names)})
        kinds = schema.numerics, schema.categoricals, schema.bags
        return cls(kept, *(_places(kind, names) for kind in kinds))

    def rows(self, rows: "Rows") -> "Rows":
        """Rows of the whole schema without the other features; the very same where there are none."""
        from glmix_automl.models.tensorflow import tf  # not before there are tensors: random effects do without

        numerics, categoricals, bags = rows.numerics, rows.categoricals, rows.bags
        if self.numerics is not None:
            numerics = tf.gather(numerics, tf.constant(self.numerics, tf.int32), axis=1)
        if self.categoricals is not None:
            categoricals = tf.gather(categoricals, tf.constant(self.categoricals, tf.int32), axis=1)
        if self.bags is not None:
            bags = tuple(bags[place] for place in self.bags)
        return rows._replace(numerics=numerics, categoricals=categoricals, bags=bags)


def chosen(
    schema: Schema, features: str, family: str, fits_pattern: Callable[[Feature], bool] = lambda feature: True
) -> set[str]:
    """Names of the features that a text asks for.

    Args:
        schema: of the dataset.
        features: names or patterns (`*`, `?`) with spaces between; after a `-` what is left out of the others, or of
            all features if there are no others.
        family: for messages.
        fits_pattern: what a pattern may stand for; a feature that is named need not fit.

    Raises:
        TrialError: there is no such feature. A pattern may leave out what is not there.
    """
    wanted: set[str] = set()
    left_out: set[str] = set()
    words = features.split()
    for word in words if any(not word.startswith(LEFT_OUT) for word in words) else ["*", *words]:
        pattern = word.removeprefix(LEFT_OUT)
        found = {f.name: f for f in schema.features if fnmatchcase(f.name, pattern)}
        is_out, is_name = word != pattern, not set("*?[") & set(pattern)
        if not found and pattern != "*" and (is_name or not is_out):
            raise TrialError(f"family {family}: features: the dataset has none named {pattern!r}")
        if is_out:
            left_out |= set(found)
        else:
            wanted |= {name for name, feature in found.items() if name == pattern or fits_pattern(feature)}
    return wanted - left_out


def _places(kind: tuple[Feature, ...], names: set[str]) -> tuple[int, ...] | None:
    places = tuple(place for place, feature in enumerate(kind) if feature.name in names)
    return None if len(places) == len(kind) else places
