"""AutoML for recommendation: Spark preparation, Horovod training, a race of strategies, GLMix random effects."""

import importlib
from typing import TYPE_CHECKING, Any

from glmix_automl.version import VERSION

if TYPE_CHECKING:
    from glmix_automl.api import Study, prepare
    from glmix_automl.dataset import Dataset
    from glmix_automl.schema import Schema
    from glmix_automl.space import Space
    from glmix_automl.trial import Result, Trial

__version__ = VERSION
__all__ = ["Dataset", "Result", "Schema", "Space", "Study", "Trial", "__version__", "prepare"]

_HOMES = {
    "Dataset": "glmix_automl.dataset",
    "Result": "glmix_automl.trial",
    "Schema": "glmix_automl.schema",
    "Space": "glmix_automl.space",
    "Study": "glmix_automl.api",
    "Trial": "glmix_automl.trial",
    "prepare": "glmix_automl.api",
}


def __getattr__(name: str) -> Any:
    """The nouns of the Python API, loaded when first named: importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
