"""Where a model to score with comes from: its own folder, a study, or MLflow's registry."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import DESCRIPTION, MODEL, Folder
from glmix_automl.tracking.registry import CHAMPION, Registry

_REGISTERED = re.compile(r"models:/([^/@]+)(?:@([^/]+)|/(\d+))$")


@dataclass(frozen=True)
class ModelSource:
    """A model that can be read now.

    Attributes:
        folder: of the model.
        version: what scores are marked with: the registered version, or where the folder lies.
    """

    folder: Folder
    version: str


def locate(model: str, registry: str | None) -> ModelSource:
    """Finds a model; one that is registered is copied to this machine.

    Args:
        model: folder of a model or of a study, or `models:/NAME@champion`, `models:/NAME/3`.
        registry: URI of the MLflow server or store, for registered models.

    Raises:
        ConfigError: a registered model without `registry`, or an address that is none.
        DataError: no model there.
        StudyError: the registry cannot be reached, or has no such model.
    """
    if model.startswith("models:"):
        return _registered(model, registry)
    for folder in (Folder(model), Folder(model).within(MODEL)):
        if folder.exists(DESCRIPTION):
            return ModelSource(folder, folder.path())
    raise DataError(f"{model}: no model here, and no study that exported one (there is no {DESCRIPTION})")


def _registered(model: str, registry: str | None) -> ModelSource:
    found = _REGISTERED.match(model)
    if found is None:
        raise ConfigError(f"model {model!r}: expected models:/NAME@champion or models:/NAME/VERSION")
    if registry is None:
        raise ConfigError(f"model {model!r}: set `registry` to the URI of MLflow's server or store")
    name, alias, number = found.groups()
    if alias not in (None, CHAMPION):
        raise ConfigError(f"model {model!r}: the alias is {CHAMPION}, got {alias!r}")
    models = Registry(registry, name)
    version = models.find(int(number)) if number else models.champion()
    if version is None:
        raise DataError(f"{registry}: there is no {model}; promote a study first: glmix-automl promote STUDY")
    place = tempfile.mkdtemp(prefix="glmix-model-")
    return ModelSource(models.download(version, Path(place)), f"{name}/{version.number}")
