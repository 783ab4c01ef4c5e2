"""The model behind a trial becomes a folder of its own: arrays, JSON and the schema, nothing to unpickle.

model.json                 bias, and a weight per coordinate
schema.json                turns raw rows into features
coordinates/<trial>/       weights.npz, coordinate.json
effects/<trial>.parquet    of a random effect: entity, term, mean, variance, rows, state
recipe.json, history/      how raw tables are read, and what was known of members and items at the end of the data
"""

import io
import json
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow.parquet as pq

from glmix_automl.config import Config
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import DataError
from glmix_automl.layout import COORDINATE, COORDINATES, DESCRIPTION, EFFECTS, RECIPE, SCHEMA, TRIALS, WEIGHTS, Folder
from glmix_automl.models.checkpoint import load_coordinate, read_description
from glmix_automl.prepare.known import END, HISTORY
from glmix_automl.schema import Schema


class Term(Config):
    """One coordinate of the sum."""

    folder: str
    """Within the model's folder."""
    weight: float


class ModelDescription(Config):
    """`model.json`: log-odds are `bias + sum of weight * score(coordinate)`."""

    version: Literal[1] = 1
    bias: float
    terms: tuple[Term, ...]
    origin: dict[str, Any] = {}
    """Where it comes from: study, trial, digest of the dataset, AUCs; of a grown model the plan that rebuilds it."""


def export(
    study: Folder,
    model: Ensemble,
    schema: Schema,
    target: Folder,
    origin: Mapping[str, Any],
    dataset: Folder | None = None,
) -> None:
    """Writes a model's folder; at any moment there is the model before, the new one, or none: never parts of two.

    What a trial trained does not change, so a model of the same study stays whole while coordinates are added to it,
    until `model.json` is replaced. A model of another study goes first, as trials there have the same numbers.

    Args:
        study: folder of the study that trained the coordinates.
        model: members are trials of the study that trained a coordinate; those of weight 0 are left out.
        schema: of the dataset.
        target: where to write; what is there of an older model is replaced.
        origin: kept in `model.json`.
        dataset: what the model was trained on; its recipe and history go with the model.

    Raises:
        DataError: a coordinate's files are missing, or the target cannot be written.
    """
    before = _study(target)
    if before is None or before != origin.get("study"):
        target.remove(DESCRIPTION)
        target.remove(HISTORY)
    terms = []
    for number, weight in model.pruned.terms:
        place = f"{COORDINATES}/{number}"
        for name in (WEIGHTS, COORDINATE):
            target.write(f"{place}/{name}", study.read(f"{TRIALS}/{number}/{name}"))
        if read_description(target.within(place))["family"] == "random_effect":
            target.write(f"{EFFECTS}/{number}.parquet", _effects(target.within(place), schema))
        terms.append(Term(folder=place, weight=weight))
    target.write(SCHEMA, schema.model_dump_json(indent=1))
    if dataset is not None:
        _take_along(dataset, target)
    description = ModelDescription(bias=model.bias, terms=tuple(terms), origin=dict(origin))
    target.write(DESCRIPTION, description.model_dump_json(indent=1))
    _remove_unused(target, {term.folder.rpartition("/")[2] for term in terms})


def _take_along(dataset: Folder, target: Folder) -> None:
    """The recipe and the history of a dataset, to score raw tables of later days."""
    if dataset.exists(RECIPE):
        target.write(RECIPE, dataset.read(RECIPE))
    end = f"{HISTORY}/{END}"
    if not dataset.exists(end) or target.exists(end):  # of one study, whose dataset does not change
        return
    for key in dataset.folders(HISTORY):
        for name in dataset.files(f"{HISTORY}/{key}"):
            target.write(f"{HISTORY}/{key}/{name}", dataset.read(f"{HISTORY}/{key}/{name}"))
    target.write(end, dataset.read(end))


def _study(target: Folder) -> object:
    """Id of the study whose model is in a folder; None of a model that does not say, is damaged, or is not there."""
    try:
        return json.loads(target.read(DESCRIPTION))["origin"]["study"]
    except (DataError, ValueError, KeyError, TypeError):
        return None


def _remove_unused(target: Folder, used: set[str]) -> None:
    """Removes the coordinates of models before this one."""
    for number in target.folders(COORDINATES):
        if number not in used:
            target.remove(f"{COORDINATES}/{number}")
    for name in target.files(EFFECTS, ".parquet"):
        if name.removesuffix(".parquet") not in used:
            target.remove(f"{EFFECTS}/{name}")


def _effects(place: Folder, schema: Schema) -> bytes:
    """The coefficients of a random effect as a Parquet file."""
    content = io.BytesIO()
    pq.write_table(load_coordinate(place, schema).listed(), content)
    return content.getvalue()
