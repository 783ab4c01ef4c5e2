"""Which split a staged row is in; a pure function of the row, the rule and the seed."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare.recipe import Fractions, RandomSplit, SplitRule, TimeSplit
from glmix_automl.prepare.stage import FOLD, TIME, UID
from glmix_automl.schema import SPLITS
from glmix_automl.seeds import derive

SPLIT = "split"
_BINS = 65_536
_PARTS = 2**30


def assigned(frame: DataFrame, rule: SplitRule, seed: int, entities: list[str]) -> DataFrame:
    """The staged frame with a column `split`: train, validation, test, or null for rows that are left out.

    Args:
        frame: staged rows.
        rule: by time, at random or by a column.
        seed: of the random split.
        entities: names of the entities, in the order of their staged columns.

    Raises:
        ConfigError: a random split by an entity that is not there, a time that cannot be read.
        DataError: a split by time where all rows have one time.
    """
    if isinstance(rule, TimeSplit):
        validation, test = _moments(frame, rule)
        return frame.withColumn(SPLIT, _three(F.col(TIME) < validation, F.col(TIME) < test))
    if isinstance(rule, RandomSplit):
        unit = UID if rule.unit == "row" else _entity(rule.unit, entities)
        draw = share(unit, derive(seed, "split"))
        train, validation_end = rule.fractions.borders
        return frame.withColumn(SPLIT, _three(draw < train, draw < validation_end))
    fold = F.col(FOLD)
    name = F.when(fold.isin(*rule.train), SPLITS[0]).when(fold.isin(*rule.validation), SPLITS[1])
    return frame.withColumn(SPLIT, name.when(fold.isin(*rule.test), SPLITS[2]))


def share(unit: str, seed: int) -> Column:
    """A number from 0 to 1 per value of the string column `unit`, uniform, the same wherever it is computed."""
    return F.pmod(F.xxhash64(F.lit(seed), F.col(unit)), F.lit(_PARTS)) / F.lit(float(_PARTS))


def moments(frame: DataFrame, fractions: Fractions) -> tuple[int, int]:
    """The times at which validation and test begin: those of the rows that stand at the borders in order of time.

    Exact, though nothing is sorted: a histogram of the time column is refined around the borders until a bin is one
    microsecond wide. A handful of passes over one column; the driver sees no more than the bins.
    """
    first, last, rows = frame.agg(F.min(TIME), F.max(TIME), F.count(F.lit(1))).first()  # type: ignore[misc]
    if not rows:
        raise DataError("no rows are left to split")
    if first == last:
        raise DataError(
            "a split by time needs rows of different times, all have the same; "
            "use `split: {by: random}` or `{by: column}`"
        )
    searches = [_Search(int(border * rows), first, last) for border in fractions.borders]
    while open_searches := [s for s in searches if s.low < s.high]:
        _refine(frame, open_searches)
    return searches[0].low, searches[1].low


@dataclass
class _Search:
    """Looks for the time of row number `rank` (from 0) among the rows from `low` to `high`, in order of time."""

    rank: int
    low: int
    high: int

    @property
    def width(self) -> int:
        return (self.high - self.low) // _BINS + 1

    def bins(self) -> Column:
        inside = F.col(TIME).between(self.low, self.high)
        return F.when(inside, F.floor((F.col(TIME) - F.lit(self.low)) / F.lit(self.width)))

    def narrow(self, counts: dict[int, int]) -> None:
        for number in sorted(counts):
            if self.rank < counts[number]:
                low = self.low + number * self.width
                self.low, self.high = low, min(low + self.width - 1, self.high)
                return
            self.rank -= counts[number]
        raise AssertionError("a rank lies among the rows it was counted in")


def _refine(frame: DataFrame, searches: list[_Search]) -> None:
    names = [f"bin{i}" for i in range(len(searches))]
    binned = frame.select(*(s.bins().alias(n) for n, s in zip(names, searches, strict=True)))
    counts: list[dict[int, int]] = [{} for _ in searches]
    for *bins, count in binned.groupBy(*names).count().collect():
        for found, number in zip(counts, bins, strict=True):
            if number is not None:
                found[number] = found.get(number, 0) + count
    for search, found in zip(searches, counts, strict=True):
        search.narrow(found)


def _moments(frame: DataFrame, rule: TimeSplit) -> tuple[int, int]:
    if rule.validation_from is None or rule.test_from is None:
        return moments(frame, rule.fractions)
    validation, test = _micros(frame, rule.validation_from), _micros(frame, rule.test_from)
    if validation >= test:
        raise ConfigError("split: validation_from must be before test_from")
    return validation, test


def _micros(frame: DataFrame, moment: str | float) -> int:
    if isinstance(moment, int | float):
        return round(moment * 1e6)
    read = frame.sparkSession.range(1).select(F.unix_micros(F.try_to_timestamp(F.lit(moment)))).first()
    if read is None or read[0] is None:
        raise ConfigError(f"split: {moment!r} is no time; expected ISO 8601 text or seconds since the epoch")
    return int(read[0])


def _entity(name: str, entities: list[str]) -> str:
    if name not in entities:
        raise ConfigError(f"split: unit {name!r} is neither `row` nor an entity ({', '.join(entities)})")
    return f"e{entities.index(name)}"


def _three(train: Column, validation: Column) -> Column:
    return F.when(train, SPLITS[0]).when(validation, SPLITS[1]).otherwise(SPLITS[2])
