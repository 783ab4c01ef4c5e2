"""What is answered to rows to be scored: their past as of their moments, and what tables say of both their ends.

The steps are those of preparation, over the same partitions of members: rows are taken in with a label that says that
they only ask, newer interactions beside them, and what was known at the end of the model's data is where history
begins. So what comes out for a row is what preparation would have made of it. Arrow and numpy only: an exported model
does the same for rows in memory.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from glmix_automl.errors import DataError
from glmix_automl.prepare.blocks import PartBlock
from glmix_automl.prepare.engine import Engine, Local
from glmix_automl.prepare.exchange import Ints, Spread, read_part
from glmix_automl.prepare.followed import effects_of, signals_of
from glmix_automl.prepare.history import Following, attributes_step, items_step
from glmix_automl.prepare.history_features import HistoryFeatures, values_of
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.known import Known
from glmix_automl.prepare.member_past import Past
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.priors import Priors
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import RandomSplit
from glmix_automl.prepare.row_hash import keys_of
from glmix_automl.prepare.stage import (
    LABEL,
    STAGED_TYPES,
    TIME,
    UID,
    WEIGHT,
    Staging,
    Taken,
    by_source,
    take_in,
    take_in_side,
)
from glmix_automl.prepare.together.describe import FittedItems, answer_together, fit_models
from glmix_automl.prepare.together.sample import draw, sampled_share, write_drawn
from glmix_automl.schema import Entity


@dataclass(frozen=True)
class Questions:
    """Rows to be scored, taken in, and all that is answered from; partition by partition `answer` makes raw rows of it.

    Attributes:
        work: folder, partitions, and the features that the rows, members and items bring.
        rows, newer: the rows, and the interactions that were not known yet.
        sides: entity -> its table.
        items, attributes: answers of `history.items_step` and `attributes_step`.
        priors: of every day.
        known: at the end of the model's data.
        names: entities' columns, and those of time and uid, None for what is not handed on.
        lacking: raw columns that no table brings.
        notes: what was taken for granted, in a person's words.
        fitted: models of items, fitted on the interactions where nothing is known.
    """

    work: Staging
    rows: tuple[Spread, ...]
    newer: tuple[Spread, ...]
    sides: Mapping[int, tuple[Spread, ...]]
    items: tuple[Spread, ...]
    attributes: tuple[Spread, ...]
    priors: Priors
    known: Known | None
    names: tuple[str, str, str | None, str | None]
    lacking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fitted: FittedItems | None = None


def answered(
    engine: Engine,
    work: Staging,
    taken: Sequence[Taken],
    events: Sequence[Taken],
    sides: Mapping[int, tuple[Spread, ...]],
    known: Known | None,
    names: tuple[str, str, str | None, str | None],
    lacking: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Questions:
    """Puts the questions of items and attributes, as preparation does.

    Args:
        engine: what runs the steps.
        work: what every task is told.
        taken: the rows.
        events: the interactions that were not known yet.
        sides: entity -> its table.
        known: at the end of the model's data.
        names, lacking, notes: as of `Questions`.
    """
    every = [*events, *taken]
    questions = tuple(t.asked for t in every if t.asked is not None)
    items: list[Any] = []
    attributes: list[Any] = []
    if questions and work.history is not None:
        told = Following(work.folder, work.parts, work.history, known=known)
        items = engine.each(
            "items", partial(items_step, told, questions, sides.get(1, ())), filled(questions, work.parts)
        )
        again = tuple(q for i in items for q in i.questions)
        step = partial(attributes_step, told, again, tuple(v for i in items for v in i.values))
        attributes = engine.each("attributes", step, filled(again, work.parts)) if again else []
    asked = Questions(
        work=work,
        rows=tuple(t.rows for t in taken),
        newer=tuple(t.rows for t in events),
        sides=sides,
        items=tuple(a for i in items for a in i.answers),
        attributes=tuple(a for i in attributes for a in i.answers),
        priors=_priors(every, known),
        known=known,
        names=names,
        lacking=lacking,
        notes=notes,
    )
    if known is not None or work.history is None or not work.history.fits_items or not events:
        return asked
    share = sampled_share(sum(sum(t.rows.rows) for t in events))
    dealt = engine.each("history", partial(_draw, asked, share), filled(asked.newer, work.parts))
    drawn = [d for d in dealt if d is not None]
    return replace(asked, fitted=fit_models(engine, work.folder, work.history, drawn)) if drawn else asked


def filled(files: Sequence[Spread], parts: int) -> list[int]:
    """The partitions that have rows: of many, few rows fill a few, and what is known in the others is not read."""
    return [part for part in range(parts) if any(file.rows[part] for file in files)]


def check_moments(taken: Sequence[Taken], known: Known | None) -> None:
    """Refuses rows of a moment that the model knows the future of.

    Raises:
        DataError: which moment, and what to do.
    """
    first = min(t.first for t in taken)
    if known is not None and first <= known.until:
        early, until = (np.datetime64(t, "us") for t in (first, known.until))
        raise DataError(
            f"a row to score is of {early}, and what the model knows of members and items lasts until {until}; "
            "it would see its own future; give rows of later moments, or score with `history: given` and all the "
            "interactions before them"
        )


def answer(asked: Questions, part: int) -> pa.Table | None:
    """The rows of a partition with every raw column that features are made of, whole members together; None where
    there are none.

    Columns: ids, time (timestamp, UTC) and uid under the names of the recipe, and the raw columns.
    """
    from glmix_automl.prepare.sides import SidePart, raw_columns  # leads to Spark, which an exported model does without

    rows, _ = read_part(asked.work.folder, list(asked.rows), part)
    if rows is None:
        return None
    staged = {name: rows[name] for name in rows.column_names}
    past = _past(asked, rows, part)
    for side, files in asked.sides.items():
        parts = [part] if side == 0 else range(asked.work.parts)
        of_side = [SidePart(side, p, files, ()) for p in parts]
        staged |= raw_columns(asked.work, of_side, keys_of(rows[f"e{side}"])) if files else {}
    found = by_source(asked.work, staged) | past
    found |= {name: pa.nulls(rows.num_rows) for name in asked.lacking}
    for feature in asked.work.features:
        found.setdefault(feature.source, pa.nulls(rows.num_rows))  # a side without one row in these parts
    member, item, time, uid = asked.names
    ids = {member: rows["e0"], item: rows["e1"]}
    ids |= {time: rows[TIME].cast(pa.timestamp("us", "UTC"))} if time is not None else {}
    ids |= {uid: rows[UID]} if uid is not None else {}
    schema = answer_schema(asked)
    return pa.table({**found, **ids}).select(schema.names).cast(schema)


def answer_schema(asked: Questions) -> pa.Schema:
    """Names and types of the columns of `answer`."""
    work = asked.work
    types = by_source(work, {place.name: STAGED_TYPES[place.kind] for place in work.places.values()})
    made = [f.source for f in past_features(work.history)] if work.history is not None else []
    types |= dict.fromkeys(asked.lacking, pa.string()) | dict.fromkeys(made, pa.float64())
    member, item, time, uid = asked.names
    types |= {name: pa.string() for name in (member, item, uid) if name is not None}
    types |= {time: pa.timestamp("us", "UTC")} if time is not None else {}
    return pa.schema(list(types.items()))


def history_columns(
    wanted: HistoryFeatures, known: Known, members: pa.Array, items: pa.Array, values: Sequence[pa.Array], times: Ints
) -> dict[str, pa.Array]:
    """The columns of history of rows in memory, from what is known.

    Args:
        wanted: which history.
        known: at the end of the model's data.
        members, items: ids, text [rows].
        values: of each attribute that is followed, its raw column [rows].
        times: microseconds [rows], after the end of what is known.

    Raises:
        DataError: a row is of a moment before the end of what is known.
    """
    count = len(times)
    if not count:
        return {feature.source: pa.nulls(0) for feature in past_features(wanted)}
    ends = [ids.fill_null("") for ids in (members, items)]
    block = {LABEL: np.full(count, ASKS, np.int8), WEIGHT: np.ones(count), TIME: times, "e0": ends[0], "e1": ends[1]}
    block |= {s: np.zeros(count, np.int64) for s in signals_of(wanted)}
    described = {"id": ends[1]}
    pairs = zip(values, wanted.attributes, strict=True)
    described |= {f"a{i}": values_of(raw, a) for i, (raw, a) in enumerate(pairs)}
    once = np.unique(keys_of(ends[1]), return_index=True)[1]
    with tempfile.TemporaryDirectory(prefix="glmix-history-") as folder:
        work = _alone(wanted, folder)
        taken = [take_in(work, pa.table(block))]
        check_moments(taken, known)
        sides = {1: (take_in_side(work, 1, pa.table(described).take(pa.array(once))),)}
        asked = answered(Local(StepProgress(False), 1), work, taken, [], sides, known, ("e0", "e1", None, None))
        kept, _ = read_part(folder, list(asked.rows), 0)
        assert kept is not None, "there are rows"
        return _past(asked, kept, 0)


def _alone(wanted: HistoryFeatures, folder: str) -> Staging:
    """The work of one partition that makes history only."""
    ids = tuple(Entity(name=n, source=n, side=side) for n, side in (("e0", "member"), ("e1", "item")))  # type: ignore[arg-type]
    split = RandomSplit(by="random")
    return Staging(folder, folder, 1, (), ids, {}, split, 1.0, 0, history=wanted, uid=None)


def _past(asked: Questions, rows: pa.Table, part: int) -> dict[str, pa.Array]:
    """The columns of history of the rows to be scored of a partition."""
    wanted = asked.work.history
    if wanted is None:
        return {}
    every, found, effects = _with_newer(asked, wanted, rows, part)
    models = {} if asked.fitted is None else asked.fitted.every()
    found |= answer_together(wanted, models, asked.known, every, effects, part, asked.work.parts)
    return {name: column[every.num_rows - rows.num_rows :] for name, column in found.items()}


def _with_newer(
    asked: Questions, wanted: HistoryFeatures, rows: pa.Table, part: int
) -> tuple[pa.Table, dict[str, pa.Array], Mapping[str, Ints]]:
    """The interactions that were not known yet and then the rows, of a partition: their columns of history that no
    models are needed for, and their effects.
    """
    work = asked.work
    columns = ["key", "other", "e0", TIME, LABEL, *signals_of(wanted)]
    events, _ = read_part(work.folder, list(asked.newer), part)
    every = pa.concat_tables([t.select(columns) for t in (events, rows) if t is not None])
    block = PartBlock(every, np.array([f.rows[part] for f in (*asked.newer, *asked.rows)], np.int64))
    past = Past(wanted, asked.priors, part, work.parts, asked.known)
    items, attributes = (read_part(work.folder, f, part)[0] for f in (asked.items, asked.attributes))
    return every, *past.of(block, items, attributes)


def _draw(asked: Questions, share: float, part: int) -> str | None:
    """The interactions of a partition that models of items are fitted on."""
    rows, _ = read_part(asked.work.folder, list(asked.rows), part)
    events, _ = read_part(asked.work.folder, list(asked.newer), part)
    if events is None or asked.work.history is None:
        return None
    rows = rows if rows is not None else events.slice(0, 0)
    every, _, effects = _with_newer(asked, asked.work.history, rows, part)
    seen = events.num_rows
    drawn = draw(every.slice(0, seen), {n: e[:seen] for n, e in effects.items()}, share)
    return write_drawn(asked.work.folder, [drawn], effects_of(asked.work.history))


def _priors(taken: Sequence[Taken], known: Known | None) -> Priors:
    days = {} if known is None else known.days()
    for each in taken:
        for day, numbers in each.days.items():
            before = days.get(day, (0,) * len(numbers))
            days[day] = tuple(a + b for a, b in zip(before, numbers, strict=True))
    return Priors.of(days)
