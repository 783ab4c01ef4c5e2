"""A trained coordinate on disk: arrays in an .npz, what they mean in JSON, no pickles."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from glmix_automl import config
from glmix_automl.errors import DataError
from glmix_automl.layout import COORDINATE, SCHEMA, WEIGHTS, Folder
from glmix_automl.models import family_of
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.schema import Schema

CHECKPOINT_VERSION = 1
MOMENTS = "moments.npz"  # of the optimiser, for promotions; not part of the model


def save_coordinate(
    folder: Folder,
    coordinate: Coordinate,
    training: Mapping[str, Any] | None = None,
    moments: Mapping[str, np.ndarray] | None = None,
) -> int:
    """Writes a coordinate; each file is there whole or not at all.

    Args:
        folder: of the trial or model.
        coordinate: what to write.
        training: what led to the weights (epochs, seed, ...), kept beside them.
        moments: what an optimiser needs to go on, kept beside them; scoring does not read it.

    Returns:
        Bytes written.

    Raises:
        DataError: the place cannot be written.
    """
    arrays = coordinate.arrays
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    description = {
        "version": CHECKPOINT_VERSION,
        "family": coordinate.family,
        "parameters": coordinate.parameters.model_dump(),
        "weights": {name: list(array.shape) for name, array in arrays.items()},
        "training": dict(training or {}),
    }
    text = json.dumps(description, indent=1)
    if moments is not None:
        remembered = io.BytesIO()
        np.savez(remembered, **moments)
        folder.write(MOMENTS, remembered.getvalue())
    folder.write(WEIGHTS, packed.getvalue())
    folder.write(COORDINATE, text)
    return packed.tell() + len(text)


def read_description(folder: Folder) -> dict[str, Any]:
    """What `save_coordinate` wrote beside the arrays: `family`, `parameters`, `weights`, `training`.

    Raises:
        DataError: there is none, or it is of another version.
    """
    try:
        description = json.loads(folder.read(COORDINATE))
        version = description["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder.path(COORDINATE)}: is not a coordinate's description: {error}") from error
    if version != CHECKPOINT_VERSION:
        raise DataError(
            f"{folder.path(COORDINATE)}: is of version {version}, this program reads version {CHECKPOINT_VERSION}"
        )
    return dict(description)


def load_arrays(folder: Folder, file: str = WEIGHTS) -> dict[str, np.ndarray]:
    """The arrays of a saved coordinate by name, or of its optimiser (`MOMENTS`).

    Raises:
        DataError: they are missing or damaged.
    """
    try:
        with np.load(io.BytesIO(folder.read(file)), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder.path(file)}: cannot be read as arrays: {error}") from error


def load_coordinate(folder: Folder, schema: Schema) -> Coordinate:
    """A saved coordinate, whose `score(rows)` gives the very scores it had when it was saved.

    Raises:
        DataError: files are missing or damaged, or the weights do not fit the schema.
    """
    description = read_description(folder)
    coordinate = family_of(description["family"]).build(schema, description["parameters"], seed=0)
    coordinate.restore(load_arrays(folder), folder.path(WEIGHTS))
    return coordinate


def load_earlier(checkpoint: str) -> Coordinate:
    """A coordinate of another study, or of an exported model, on the dataset it was trained on.

    Args:
        checkpoint: its folder, as `Trial.checkpoint`; two folders above it lies the schema.

    Raises:
        ConfigError: the schema is of another version.
        DataError: the schema or the coordinate is missing or damaged.
    """
    home = Folder(checkpoint.rstrip("/").rsplit("/", 2)[0])
    try:
        described = json.loads(home.read(SCHEMA))
    except ValueError as error:
        raise DataError(f"{home.path(SCHEMA)}: is not JSON: {error}") from error
    return load_coordinate(Folder(checkpoint), config.parse(described, Schema, home.path(SCHEMA)))
