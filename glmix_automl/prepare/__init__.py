"""Spark in, Parquet shards out: raw tables become a dataset, see `docs/data.md`."""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Folder(ModuleType):
    """Python makes a folder, once loaded, an attribute of the package. This one has the name of the API's `prepare`,
    and stands for it when called, so that `glmix_automl.prepare` is a function before and after.
    """

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return importlib.import_module("glmix_automl.api").prepare(*arguments, **options)


sys.modules[__name__].__class__ = _Folder
