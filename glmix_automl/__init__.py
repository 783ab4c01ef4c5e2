"""AutoML for recommendation: Spark preparation, Horovod training, a race of strategies, GLMix random effects."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glmix_automl.api import Study, prepare

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "prepare"]


def __getattr__(name: str) -> Any:
    """The nouns of the Python API, loaded when first named: importing the package costs nothing."""
    if name in ("Study", "prepare"):
        from glmix_automl import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
