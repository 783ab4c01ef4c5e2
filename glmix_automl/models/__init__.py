"""Families by name. Nothing here loads TensorFlow before a coordinate is built."""

import difflib
from collections.abc import Mapping
from typing import Any

from glmix_automl.errors import TrialError
from glmix_automl.models import parameters
from glmix_automl.models.family import FamilyParameters, ModelFamily
from glmix_automl.models.mixture import MIXTURE_FAMILY

FAMILIES: dict[str, ModelFamily[Any]] = {
    family.name: family
    for family in (
        parameters.LOGISTIC,
        parameters.SUBNETWORK,
        parameters.CROSS,
        parameters.FACTORISATION,
        parameters.TREES,
        parameters.RANDOM_EFFECT,
        MIXTURE_FAMILY,
    )
}
"""Name -> family. A new one is a line here."""


def family_of(name: str) -> ModelFamily[Any]:
    """The family of a name.

    Raises:
        TrialError: there is none.
    """
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FAMILIES)}"
        raise TrialError(f"unknown family {name!r}; {hint}")
    return FAMILIES[name]


def check_parameters(name: str, given: Mapping[str, Any]) -> FamilyParameters:
    """The parameters of a trial, checked, defaults filled in. Loads no TensorFlow, so that a race can be checked before
    anything starts; trials of family `mixture` take none.

    Args:
        name: of the family.
        given: as in `Trial.parameters`.

    Raises:
        TrialError: an unknown family or parameter (and which was meant), or a value out of range.
    """
    found: FamilyParameters = family_of(name).resolve(given)
    return found
