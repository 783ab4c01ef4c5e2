"""A model folder becomes something that scores raw rows, by the very code that made the dataset's features."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from glmix_automl import config
from glmix_automl import schema as names
from glmix_automl.dataset.block import Block
from glmix_automl.dataset.builder import BlockBuilder
from glmix_automl.dataset.entities import dictionary
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import DataError
from glmix_automl.features import as_texts, encode, entity_ids
from glmix_automl.layout import DESCRIPTION, SCHEMA, Folder
from glmix_automl.models.checkpoint import load_coordinate
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.rows import in_form
from glmix_automl.schema import Bag, Entity, Feature, Schema
from glmix_automl.serving.export import ModelDescription
from glmix_automl.serving.memory import Memory

ROWS_AT_ONCE = 1 << 18  # bounds the memory of the features


class Model:
    """An exported model in memory.

    Attributes:
        description: what `model.json` says.
        schema: of the raw columns.
        memory: what it remembers of members and items, where it has columns of history.
    """

    def __init__(self, folder: Folder) -> None:
        """Loads it.

        Raises:
            DataError: there is no model, or it is damaged.
            ConfigError: of another version.
        """
        self.description = config.parse(_json(folder, DESCRIPTION), ModelDescription, folder.path(DESCRIPTION))
        self.schema = config.parse(_json(folder, SCHEMA), Schema, folder.path(SCHEMA))
        self.memory = Memory.open(folder)
        terms = self.description.terms
        self._coordinates = [load_coordinate(folder.within(term.folder), self.schema) for term in terms]
        weights = tuple(term.weight for term in terms)
        self._ensemble = Ensemble(tuple(range(len(terms))), weights, self.description.bias)

    def score(self, rows: pa.Table) -> NDArray[np.float32]:
        """Log-odds of raw rows, float32 [rows].

        Raises:
            DataError: a column is missing or cannot be read: which, and what is there.
        """
        parts = [
            self._score(rows.slice(start, ROWS_AT_ONCE)) for start in range(0, max(rows.num_rows, 1), ROWS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def _score(self, rows: pa.Table) -> NDArray[np.float32]:
        return self.total(self.shares(self.encode(rows)), rows.num_rows)

    def encode(self, rows: pa.Table) -> pa.Table:
        """The feature columns of raw rows, and the ids of the entities that random effects belong to; columns of
        history that the rows do not bring are what the model remembers of their members and items.

        Raises:
            DataError: a column is missing or cannot be read.
        """
        rows = rows if self.memory is None else self.memory.complete(rows)
        features, texts = encode(self.schema, rows), entity_ids(self.schema, rows, self._entities)
        for name in texts.column_names:
            features = features.append_column(name, texts.column(name))
        return features

    @property
    def _entities(self) -> set[str]:
        """Names of what random effects belong to."""
        return {name for coordinate in self._coordinates for name in coordinate.entities}

    def shares(self, features: pa.Table, only: Sequence[str] | None = None) -> dict[str, NDArray[np.float32]]:
        """Coordinate -> its weight times its scores of rows of `encode`, float32 [rows]; the bias is nobody's.

        Args:
            features: the rows.
            only: names of the coordinates that are wanted; all unless given.
        """
        return self.block_shares(self._block(features), only)

    def _block(self, features: pa.Table) -> Block:
        count = features.num_rows
        for name, value in ((names.LABEL, 0), (names.WEIGHT, 1), (names.OFFSET, 0)):
            features = features.append_column(name, pa.array(np.full(count, value, np.float32)))
        builder = BlockBuilder(self.schema, count)
        builder.fill(0, features, "rows to score")
        return self._with_entities(builder.build(np.arange(count), {}), features)

    def block_shares(self, block: Block, only: Sequence[str] | None = None) -> dict[str, NDArray[np.float32]]:
        """As `shares`, of rows that are a block already; random effects need the entities' codes in it."""
        wanted = self.coordinates if only is None else only
        if not len(block):
            return {name: np.zeros(0, np.float32) for name in wanted}
        found = [
            each
            for each in zip(self.coordinates, self._ensemble.weights, self._coordinates, strict=True)
            if each[0] in wanted
        ]
        rows = {form: in_form(block, form) for form in {coordinate.form for _, _, coordinate in found}}
        return {name: np.float32(weight) * each.score(rows[each.form]) for name, weight, each in found}

    @property
    def linear(self) -> tuple[str, ...]:
        """Names of the coordinates whose scores are sums of what each feature adds."""
        pairs = zip(self.coordinates, self._coordinates, strict=True)
        return tuple(name for name, coordinate in pairs if coordinate.is_linear)

    def linear_terms(self, features: pa.Table) -> dict[tuple[str, str], NDArray[np.float32]]:
        """(linear coordinate, feature) -> what the feature adds to the scores of rows of `encode`, float32 [rows]."""
        block = self._block(features)
        found = zip(self.coordinates, self._ensemble.weights, self._coordinates, strict=True)
        return {
            (name, feature): np.float32(weight) * term
            for name, weight, each in found
            if each.is_linear
            for feature, term in each.terms(block).items()
        }

    def score_block(self, block: Block) -> NDArray[np.float32]:
        """Log-odds of rows that are features already, float32 [rows], their offsets not included."""
        return self.total(self.block_shares(block), len(block))

    def total(self, shares: Mapping[str, NDArray[np.float32]], rows: int) -> NDArray[np.float32]:
        """Log-odds from the coordinates' shares, float32 [rows]."""
        return sum(shares.values(), np.full(rows, self._ensemble.bias, np.float32))

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates: number of the trial and family."""
        numbers = (term.folder.rpartition("/")[2] for term in self.description.terms)
        families = (coordinate.family for coordinate in self._coordinates)
        return tuple(f"{number}_{family}" for number, family in zip(numbers, families, strict=True))

    def _with_entities(self, block: Block, features: pa.Table) -> Block:
        """A block with the entities that random effects belong to, coded by the ids that there are."""
        named = [e.name for e in self.schema.entities if e.name in self._entities]
        coded = {name: dictionary(features.column(name)) for name in named}
        return replace(
            block,
            entities={name: codes for name, (codes, _) in coded.items()},
            entity_ids={name: ids for name, (_, ids) in coded.items()},
        )

    @property
    def trained(self) -> tuple[Coordinate, ...]:
        """The coordinates, in the order of their names."""
        return tuple(self._coordinates)

    @property
    def joined(self) -> dict[str, tuple[str, Coordinate]]:
        """Name of a coordinate that is of one entity of the schema -> the entity's raw column, and the coordinate:
        what a cluster joins to rows instead of sending it everywhere.
        """
        sources = {entity.name: entity.source for entity in self.schema.entities}
        return {
            name: (sources[coordinate.entities[0]], coordinate)
            for name, coordinate in zip(self.coordinates, self._coordinates, strict=True)
            if len(coordinate.entities) == 1 and coordinate.entities[0] in sources
        }

    def take_effects(self, name: str, ids: pa.ChunkedArray, effects: pa.ChunkedArray) -> None:
        """Knows of a joined coordinate the effects that come with rows, in place of all.

        Args:
            name: of the coordinate.
            ids: of the rows' entities.
            effects: of each row's, as `Coordinate.effects` has them; null where there is none.
        """
        texts, source = as_texts(ids), self.joined[name][1]
        known = pa.table({"entity": texts, "effect": effects}).filter(effects.is_valid())
        codes = known["entity"].combine_chunks().dictionary_encode().indices.to_numpy()
        first = np.unique(codes, return_index=True)[1]
        source.take_effects(known.take(pa.array(np.sort(first))))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """`probability` and `log_odds` of each raw row, on the frame's index.

        Raises:
            DataError: as `score`.
        """
        remembered = () if self.memory is None else self.memory.sources
        log_odds = self.score(raw_table(self.schema, frame, remembered)).astype(np.float64)
        probability = np.exp(-np.logaddexp(0, -log_odds))
        return pd.DataFrame({"probability": probability, "log_odds": log_odds}, index=frame.index)


def raw_table(schema: Schema, frame: pd.DataFrame, also: Sequence[str] = ()) -> pa.Table:
    """The columns of a frame that features and entities (and `also`) are made of, as preparation reads them.

    Dicts, and the lists of pairs that pandas reads maps from Parquet as, become maps, sparse columns dense ones, and
    values of several types the text that each reads as.

    Raises:
        DataError: no frame, a column is there twice, or its values cannot be read.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"expected a pandas DataFrame of raw rows, got {type(frame).__name__}")
    sources: dict[str, Entity | Feature] = {entity.source: entity for entity in schema.entities}
    sources |= {feature.source: feature for feature in schema.raw_features}
    columns: dict[str, pa.Array] = {}
    for name in frame.columns:
        if name in columns:
            raise DataError(f"column {name!r} is in the frame twice: which one is meant? Rename or drop the other")
        if name in sources or name in also:
            is_bag = isinstance(sources.get(name), Bag)
            columns[name] = _array(name, frame.loc[:, frame.columns == name].iloc[:, 0], is_bag)
    return pa.table(columns) if columns else pa.table({"": pa.nulls(len(frame))})


def _array(name: str, values: "pd.Series", is_bag: bool) -> pa.Array:
    if isinstance(values.dtype, pd.SparseDtype):
        values = pd.Series(np.asarray(values), values.index)
    if values.dtype.kind == "c" or any(isinstance(value, complex) for value in _objects(values)):
        raise DataError(f"column {name!r} holds complex numbers, which no feature can be made of")
    try:
        if is_bag and any(isinstance(value, dict) or _pairs(value) for value in values):
            return pa.array([_pairs(value) for value in values], pa.map_(pa.string(), pa.float64()))
        try:
            return pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # several types, or an integer of any size
            return pa.array(values.astype(object), from_pandas=True) if is_bag else _texts(name, values)
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f"column {name!r} cannot be read: {error}") from error


def _objects(values: "pd.Series") -> Sequence[object]:
    return values.to_list() if values.dtype == object else ()


def _texts(name: str, values: "pd.Series") -> pa.Array:
    """What each value reads as, by its own type, as preparation finds a column of several types in a CSV file."""
    found = np.full(len(values), None, object)
    there = values.notna().to_numpy()
    kinds = np.array([type(value).__name__ for value in values])
    for kind in sorted(set(kinds[there])):
        at = np.flatnonzero(there & (kinds == kind))
        own = [values.iloc[place] for place in at]
        array = pa.array([str(value) for value in own] if kind == "int" else own, from_pandas=True)
        found[at] = as_texts(array, name).to_pylist()
    return pa.array(found, pa.string())


def _pairs(value: object) -> list[tuple[object, object]] | None:
    """The terms of a weighted bag with their values; None of what is no map."""
    if isinstance(value, dict):
        value = list(value.items())
    if not isinstance(value, list) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        return None
    return [(term, number) for term, number in value if number is not None]


def _json(folder: Folder, name: str) -> dict[str, object]:
    try:
        content = json.loads(folder.read(name))
    except ValueError as error:
        raise DataError(f"{folder.path(name)}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{folder.path(name)}: is not a description of a model")
    return content
