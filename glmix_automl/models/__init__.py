"""Families by name; each is imported when first asked for, as they load TensorFlow."""

import importlib
from collections.abc import Iterator, Mapping

from glmix_automl.errors import TrialError
from glmix_automl.models.family import ModelFamily


class _Families(Mapping[str, ModelFamily]):
    _homes = {
        "logistic": "glmix_automl.models.logistic",
        "subnetwork": "glmix_automl.models.subnetwork",
        "cross": "glmix_automl.models.cross",
        "factorisation": "glmix_automl.models.factorisation",
        "trees": "glmix_automl.models.trees",
    }

    def __getitem__(self, name: str) -> ModelFamily:
        if name not in self._homes:
            raise TrialError(f"unknown family {name!r}; there are {', '.join(self._homes)}")
        family: ModelFamily = importlib.import_module(self._homes[name]).FAMILY
        return family

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


FAMILIES: Mapping[str, ModelFamily] = _Families()
"""Name -> family. A new one is a module with a `FAMILY` and a line above.

Raises, on access:
    TrialError: no such family.
"""
