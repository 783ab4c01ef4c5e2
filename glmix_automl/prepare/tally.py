"""Numbers of staged columns that add up over partitions: what fitting and the data checks are made of.

The same functions count rows and sides: a row stands for itself, a row of a side for as many rows as its id has. Every
number is the same in whatever order partitions are added up: extremes are exact, sums are of integers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.as_of import Reals
from glmix_automl.prepare.exchange import Ints, Spread, read_part, spread
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature
from glmix_automl.prepare.row_hash import keys_of, parts_of_keys, row_hashes
from glmix_automl.prepare.stage import DeclaredFeature

_GRID = 2.0**31  # steps between the smallest and the largest value in which sums are counted
_BITS = 11  # of a hash, that choose one of 2,048 registers: distinct values to 2.3 %
_TERMS = pa.schema([("vocabulary", pa.int32()), ("term", pa.string()), ("n", pa.int64())])


@dataclass
class ColumnRange:
    """Of a column after a transform, over training rows."""

    present: int = 0
    low: float = math.inf
    high: float = -math.inf


@dataclass
class Fill:
    """Of a staged column by split: rows with a value, terms of bags; and registers that count distinct values in train
    (HyperLogLog, Flajolet et al. 2007).
    """

    there: Ints = field(default_factory=lambda: np.zeros(3, np.int64))
    terms: Ints = field(default_factory=lambda: np.zeros(3, np.int64))
    registers: Ints = field(default_factory=lambda: np.zeros(2**_BITS, np.int64))

    @property
    def distinct(self) -> int:
        """Distinct values, approximately."""
        size = float(len(self.registers))
        estimate = 0.7213 / (1 + 1.079 / size) * size * size / float(np.sum(np.exp2(-self.registers.astype(float))))
        empty = int(np.sum(self.registers == 0))
        return round(size * math.log(size / empty) if estimate <= 2.5 * size and empty else estimate)


@dataclass
class Tally:
    """Numbers of some rows.

    Attributes:
        rows: by split.
        ranges: (staged column, transform) -> its range.
        fills: staged column -> how full it is.
        samples: staged column -> values of drawn rows, for quantiles.
        terms: how often which term occurs in train, by partition of the term.
    """

    rows: Ints = field(default_factory=lambda: np.zeros(3, np.int64))
    ranges: dict[tuple[str, str], ColumnRange] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    samples: dict[str, list[Reals]] = field(default_factory=dict)
    terms: list[Spread] = field(default_factory=list)


def tally(
    folder: str,
    parts: int,
    table: pa.Table,
    features: Sequence[DeclaredFeature],
    places: Mapping[DeclaredFeature, Any],
    keys: Sequence[str],
    weights: Ints,
    drawn: Ints,
) -> Tally:
    """The numbers of a table of staged columns.

    Args:
        folder: URI of intermediate files.
        parts: of exchanges.
        table: has the staged columns of the features.
        features: those to count.
        places: feature -> staged column.
        keys: of all vocabularies, in order.
        weights: [rows, splits], how many rows of each split each row stands for.
        drawn: [rows], how many drawn training rows.
    """
    result = Tally(rows=weights.sum(axis=0))
    train = weights[:, 0]
    found: list[pa.Table] = []
    for place in dict.fromkeys(places[f] for f in features):
        column = table[place.name]
        result.fills[place.name] = _fill(column, place.kind, weights)
    for feature in features:
        column = table[places[feature].name]
        if isinstance(feature, NumericFeature):
            values = numbers(column)
            _extend(result.ranges.setdefault((places[feature].name, feature.transform), ColumnRange()),
                    apply_curve(values, feature.transform), train)  # fmt: skip
            if feature.transform == "quantile" and places[feature].name not in result.samples:
                sample = np.repeat(values, drawn)
                result.samples[places[feature].name] = [sample[~np.isnan(sample)]]
        else:
            terms, counts = _terms(column, feature, train)
            if feature.buckets is not None:
                terms, counts = terms[:1], counts[:1]
            number = pa.array(np.full(len(terms), keys.index(feature.key), np.int32))
            found.append(pa.table([number, terms, pa.array(counts)], schema=_TERMS))
    if found:
        every = pa.concat_tables(found)
        part = parts_of_keys(keys_of(every["term"]), parts)
        result.terms.append(spread(folder, every, part, parts)[0])
    return result


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """The numbers of all rows together."""
    total = Tally()
    for each in tallies:
        total.rows = total.rows + each.rows
        for key, found in each.ranges.items():
            into = total.ranges.setdefault(key, ColumnRange())
            into.present += found.present
            into.low, into.high = min(into.low, found.low), max(into.high, found.high)
        for name, fill in each.fills.items():
            sums = total.fills.setdefault(name, Fill())
            sums.there, sums.terms = sums.there + fill.there, sums.terms + fill.terms
            sums.registers = np.maximum(sums.registers, fill.registers)
        for name, values in each.samples.items():
            total.samples.setdefault(name, []).extend(values)
        total.terms.extend(each.terms)
    return total


def sums(
    table: pa.Table, ranges: Mapping[tuple[str, str], ColumnRange], weights: Ints
) -> dict[tuple[str, str], tuple[int, int]]:
    """Each value and its square, summed over training rows in whole steps of 2^-31 of its column's range.

    Args:
        table: staged columns; those of `ranges` that it has are summed.
        ranges: over all rows.
        weights: [rows], how many training rows each row stands for.
    """
    result = {}
    for (name, transform), found in ranges.items():
        if name in table.column_names:
            width = found.high - found.low
            unit = (apply_curve(numbers(table[name]), transform) - found.low) / (width if width > 0 else 1.0)
            there = ~np.isnan(unit) & (weights > 0)
            unit, weight = unit[there], weights[there]
            steps = (np.rint(u * _GRID).astype(np.int64) * weight for u in (unit, unit * unit))
            result[name, transform] = tuple(int(s.sum()) for s in steps)
    return result  # type: ignore[return-value]


def moments(found: ColumnRange, total: tuple[int, int]) -> tuple[float, float]:
    """Mean and standard deviation from a range and sums within it."""
    low, high = (found.low, found.high) if found.present else (0.0, 0.0)
    mean, square = (s / _GRID / max(found.present, 1) for s in total)
    return low + mean * (high - low), math.sqrt(max(square - mean * mean, 0.0)) * (high - low)


def common_terms(
    folder: str, files: Sequence[Spread], least: Sequence[int], most: Sequence[int], part: int
) -> pa.Table | None:
    """Terms of one partition that occur often enough: `vocabulary`, `term`, `n`, of each vocabulary the most frequent.

    Args:
        folder: URI of intermediate files.
        files: counts, of all tallies.
        least, most: occurrences of a term, and terms of a vocabulary, by its number.
        part: the partition.
    """
    table, _ = read_part(folder, list(files), part)
    if table is None:
        return None
    counts = table.group_by(["vocabulary", "term"]).aggregate([("n", "sum")]).rename_columns(list(_TERMS.names))
    enough = np.asarray(least, np.int64)[counts["vocabulary"].to_numpy()]
    counts = counts.filter(pa.array(counts["n"].to_numpy() >= enough))
    order = [("vocabulary", "ascending"), ("n", "descending"), ("term", "ascending")]
    counts = counts.sort_by(order)
    vocabulary = counts["vocabulary"].to_numpy()
    place = np.arange(len(vocabulary)) - np.searchsorted(vocabulary, vocabulary)
    return counts.filter(pa.array(place < np.asarray(most, np.int64)[vocabulary]))


def numbers(column: pa.Array | pa.ChunkedArray) -> Reals:
    """A staged numeric column, NaN where missing."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.fill_null(math.nan).to_numpy(zero_copy_only=False)


def apply_curve(values: Reals, transform: str) -> Reals:
    """Reals after the transform whose moments are wanted."""
    return np.sign(values) * np.log1p(np.abs(values)) if transform == "log" else values


def vocabularies(features: Iterable[DeclaredFeature]) -> dict[str, list[CategoricalFeature | BagFeature]]:
    """Key of a vocabulary -> the features that share it."""
    users: dict[str, list[CategoricalFeature | BagFeature]] = {}
    for feature in features:
        if not isinstance(feature, NumericFeature):
            users.setdefault(feature.key, []).append(feature)
    return users


def _extend(into: ColumnRange, values: Reals, weights: Ints) -> None:
    there = values[(weights > 0) & ~np.isnan(values)]
    if len(there):
        into.present = int(weights[(weights > 0) & ~np.isnan(values)].sum())
        into.low, into.high = float(there.min()), float(there.max())


def _fill(column: pa.ChunkedArray, kind: str, weights: Ints) -> Fill:
    fill = Fill()
    if kind == "bag":
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        fill.there, fill.terms = (lengths > 0) @ weights, lengths @ weights
        return fill
    there = column.is_valid().to_numpy()
    fill.there = there.astype(np.int64) @ weights
    kept = column.filter(pa.array(there & (weights[:, 0] > 0)))
    if len(kept):
        distinct = kept.dictionary_encode().combine_chunks().dictionary if kind == "categorical" else kept
        hashes = row_hashes([distinct])
        # The place of the first 1 in the bits that do not choose the register.
        rest = (hashes >> np.uint64(_BITS)).astype(np.float64)
        rank = 64 - _BITS + 1 - np.where(rest > 0, np.frexp(rest)[1], 0)
        np.maximum.at(fill.registers, (hashes & np.uint64(2**_BITS - 1)).astype(np.int64), rank.astype(np.int64))
    return fill


def _terms(column: pa.ChunkedArray, feature: DeclaredFeature, weights: Ints) -> tuple[pa.Array, Ints]:
    """Distinct terms of a staged column and how many training rows have them."""
    array = column.combine_chunks()
    if isinstance(feature, BagFeature):
        rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        array, weights = pc.struct_field(array.flatten(), "term"), weights[rows]
    encoded = array.dictionary_encode()
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    counts = np.bincount(places[places >= 0], weights=weights[places >= 0], minlength=len(encoded.dictionary))
    used = np.flatnonzero(counts)
    return encoded.dictionary.take(pa.array(used)), counts[used].astype(np.int64)
