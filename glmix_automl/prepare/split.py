"""Which split a row is in; a pure function of the row, the rule and the seed."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.exchange import Ints, Spread, read_batch
from glmix_automl.prepare.recipe import RandomSplit, SplitRule, TimeSplit
from glmix_automl.prepare.row_hash import share
from glmix_automl.prepare.stage import FOLD, TIME, UID
from glmix_automl.seeds import derive

_BINS = 65_536


@dataclass(frozen=True)
class Borders:
    """The first times of validation and of test, where the split goes by time."""

    validation: int = 0
    test: int = 0


def split_of(rows: pa.Table, rule: SplitRule, borders: Borders, seed: int, entities: Sequence[str]) -> Ints:
    """The split of each row by its number in `SPLITS`, -1 for rows that are left out: [rows].

    Args:
        rows: staged rows, with their uid.
        rule: by time, at random or by a column.
        borders: of a split by time.
        seed: of the random split.
        entities: names of the entities, in the order of their staged columns.

    Raises:
        ConfigError: a random split by an entity that is not there.
    """
    if isinstance(rule, TimeSplit):
        time = rows[TIME].to_numpy()
        return (time >= borders.validation).astype(np.int64) + (time >= borders.test)
    if isinstance(rule, RandomSplit):
        unit = UID if rule.unit == "row" else entity_column(rule.unit, entities)
        draw = share(rows[unit], derive(seed, "split"))
        train, validation_end = rule.fractions.borders
        return (draw >= train).astype(np.int64) + (draw >= validation_end)
    fold = rows[FOLD].combine_chunks()
    result = np.full(rows.num_rows, -1, np.int64)
    for number, values in reversed(list(enumerate((rule.train, rule.validation, rule.test)))):
        result[pc.is_in(fold, value_set=pa.array(values, pa.string())).to_numpy(zero_copy_only=False)] = number
    return result


def entity_column(name: str, entities: Sequence[str]) -> str:
    """The staged column of an entity.

    Raises:
        ConfigError: there is no such entity.
    """
    if name not in entities:
        raise ConfigError(f"split: unit {name!r} is neither `row` nor an entity ({', '.join(entities)})")
    return f"e{list(entities).index(name)}"


def borders(
    engine: Engine, folder: str, files: Sequence[Spread], rule: SplitRule, first: int, last: int
) -> tuple[Borders, int]:
    """Where validation and test begin, and about how many rows train has (exactly, for fractions of time).

    Exact, though nothing is sorted: bins of time are counted anew around the borders until they are a microsecond wide.

    Args:
        engine: looks through the rows' times.
        folder: URI of intermediate files.
        files: the rows.
        rule: how rows are split.
        first, last: times of the rows.

    Raises:
        ConfigError: a time that cannot be read.
        DataError: a split by time where all rows have one time.
    """
    rows = sum(sum(f.rows) for f in files)
    if isinstance(rule, RandomSplit):
        return Borders(), round(rows * rule.fractions.borders[0])
    if not isinstance(rule, TimeSplit):
        return Borders(), rows
    if rule.validation_from is not None and rule.test_from is not None:
        found = Borders(_micros(rule.validation_from), _micros(rule.test_from))
        if found.validation >= found.test:
            raise ConfigError("split: validation_from must be before test_from")
        return found, rows
    _refuse_one_time(rows, first, last)
    searches = [_Search(int(border * rows), first, last) for border in rule.fractions.borders]
    ranks = [s.rank for s in searches]
    while open_searches := [s for s in searches if s.low < s.high]:
        counted = engine.each("split", _Counting(folder, tuple(open_searches)), list(files))
        for number, search in enumerate(open_searches):
            search.narrow(np.sum([c[number] for c in counted], axis=0))
    return Borders(searches[0].low, searches[1].low), ranks[0] - searches[0].rank


@dataclass
class _Search:
    """Looks for the time of row number `rank` (from 0) among the rows from `low` to `high`, in order of time."""

    rank: int
    low: int
    high: int

    @property
    def width(self) -> int:
        return (self.high - self.low) // _BINS + 1

    def count(self, times: Ints) -> Ints:
        """Rows in each bin."""
        inside = times[(times >= self.low) & (times <= self.high)]
        return np.bincount((inside - self.low) // self.width, minlength=_BINS)

    def narrow(self, counts: Ints) -> None:
        """To the bin that the row lies in, by the rows in each."""
        ends = np.cumsum(counts)
        number = int(np.searchsorted(ends, self.rank, side="right"))
        assert number < len(ends), "a rank lies among the rows it was counted in"
        low = self.low + number * self.width
        self.rank -= int(ends[number] - counts[number])
        self.low, self.high = low, min(low + self.width - 1, self.high)


@dataclass(frozen=True)
class _Counting:
    """Counts the times of a file in the bins of searches."""

    folder: str
    searches: tuple[_Search, ...]

    def __call__(self, file: Spread) -> list[Ints]:
        totals = [np.zeros(_BINS, np.int64) for _ in self.searches]
        for number, rows in enumerate(file.rows):
            if rows:
                times = read_batch(self.folder, file.path, number).column(TIME).to_numpy()
                totals = [t + s.count(times) for t, s in zip(totals, self.searches, strict=True)]
        return totals


def _refuse_one_time(rows: int, first: int, last: int) -> None:
    if not rows:
        raise DataError("no rows are left to split")
    if first == last:
        raise DataError(
            "a split by time needs rows of different times, all have the same; "
            "use `split: {by: random}` or `{by: column}`"
        )


def _micros(moment: str | float) -> int:
    if isinstance(moment, int | float):
        return round(moment * 1e6)
    try:
        read = datetime.datetime.fromisoformat(moment.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise ConfigError(f"split: {moment!r} is no time; expected ISO 8601 text or seconds since the epoch") from error
    zoned = read if read.tzinfo else read.replace(tzinfo=datetime.timezone.utc)
    return (zoned - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
