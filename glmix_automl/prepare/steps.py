"""The steps from raw rows to shards: taken in, laid out by members, described, fitted on, encoded, written.

Each step is one function applied to every block, partition or shard by an engine; what is between the steps lies in
files, so a step holds one block of rows at a time, however many a member or an item has. Nothing but vocabularies,
bounded samples and counts reaches the driver.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from glmix_automl.errors import DataError
from glmix_automl.features import encode
from glmix_automl.prepare import history, partition, sides
from glmix_automl.prepare.account import DatasetAccount, account_of, profile_of
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.exchange import Spread
from glmix_automl.prepare.fit import fit_schema, limits, vocabulary_terms
from glmix_automl.prepare.history import Following
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.known import Days, write_end
from glmix_automl.prepare.negative_sampling import sample_negatives
from glmix_automl.prepare.partition import Laid, PartitionInputs
from glmix_automl.prepare.partition_past import describe
from glmix_automl.prepare.priors import Priors
from glmix_automl.prepare.profile import (
    Edges,
    edges_of,
    match_levels,
)
from glmix_automl.prepare.recipe import ColumnSplit, Recipe
from glmix_automl.prepare.remarks import Found, report_join
from glmix_automl.prepare.repeats import refuse_repeats, repeated_uids
from glmix_automl.prepare.rows import RawRows
from glmix_automl.prepare.shards import Features, WrittenShard, plan_shards, write_shard
from glmix_automl.prepare.sides import Encoded, IdCounts, SidePart, Weighed
from glmix_automl.prepare.split import borders
from glmix_automl.prepare.stage import Staging, Taken
from glmix_automl.prepare.tally import Tally, add_tallies, common_terms
from glmix_automl.prepare.together.describe import fit_models, write_models
from glmix_automl.prepare.together.sample import sampled_share
from glmix_automl.schema import SPLITS, Schema
from glmix_automl.spark import translate_errors


class Preparation:
    """The steps, in order."""

    def __init__(self, engine: Engine, work: Staging, rows: RawRows, recipe: Recipe) -> None:
        self.engine = engine
        self.work = work
        self.rows = rows
        self.recipe = recipe
        self.parts = range(work.parts)
        self.counts = dict(rows.counts)

    def run(self) -> DatasetAccount:
        """All of them."""
        taken, side_files = self._read()
        laid = self._laid(taken, side_files)
        labels = np.sum([each.labels for each in laid], axis=0)
        _refuse_empty(labels)
        if left_out := sum(each.left_out for each in laid):
            self.counts["rows in no split"] = left_out
        parts = self._side_parts(side_files, laid)
        weighed = self.engine.each("statistics", partial(sides.weigh_side, self.work), parts)
        ids = self._checked_sides(parts, weighed)
        tally = add_tallies([*(each.tally for each in laid), *(w.tally for w in weighed)])
        tally.rows = labels.sum(axis=1)
        schema, warnings = self._fitted(tally, laid, parts)
        features = self._features(schema)
        step = "encoding members and items"
        with_sides = [p for p in parts if p.entity in features.sides]
        encoded = self.engine.each(step, partial(sides.encode_side, self.work, features.sides), with_sides)
        there = [e for e in encoded if e is not None]
        edges = self._edges(features, there, laid)
        written = self._written(features, there, parts, edges, laid)
        profile = profile_of(self.engine, self.work, features, there, edges, written, ids)
        return account_of(self.work, self.rows, self.recipe, self.counts, schema, profile, written, tally, warnings)

    def _read(self) -> tuple[list[Taken], dict[int, list[Spread]]]:
        tables = self.rows.tables(_fold(self.recipe))
        with translate_errors("reading the raw rows"):
            taken = tables.take_in(self.work)
            files = {side: tables.take_in_side(self.work, side) for side in range(len(self.work.entities))}
        for cached in self.rows.cached:
            cached.unpersist()
        if self.rows.read is not None:
            self.counts |= self.rows.read()
        if not taken:
            raise DataError("no rows are left to split")
        return taken, files

    def _sampled(self, taken: list[Taken]) -> tuple[Spread, ...]:
        """Adds drawn negatives to the rows; returns the positives that are no examples."""
        if self.work.sampling is None:
            return ()
        made = sample_negatives(self.engine, self.work, taken)
        self.counts["negatives drawn"] = made.negatives
        if left_out := sum(sum(t.rows.rows) for t in taken) - made.positives:
            self.counts["positives that could not have been drawn, in history only"] = left_out
        if short := made.positives * self.work.sampling.per_positive - made.negatives:
            self.counts["negatives that could not be drawn"] = short
        if made.positives:
            share = made.positives / max(made.candidates, 1)
            self.rows.remarks.notes.append(
                f"negatives were drawn, {self.work.sampling.per_positive} per positive, {self.work.sampling.by}; of "
                f"the items that could be taken at the moment of a positive it is {share:.2g}: the true base rate"
            )
        taken += made.taken
        return made.no_examples

    def _laid(self, taken: list[Taken], side_files: Mapping[int, list[Spread]]) -> list[Laid]:
        work = self.work
        dropped = self._repeats(taken) + self._sampled(taken)
        rows = tuple(t.rows for t in taken)
        first, last = min(t.first for t in taken), max(t.last for t in taken)
        found, train_rows = borders(self.engine, work.folder, rows, work.split, first, last)
        items, attributes = self._history(taken, side_files)
        days = _days(taken)
        if work.history is not None:
            write_end(work.out, last, work.parts, days)
        inputs = PartitionInputs(rows, items, attributes, Priors.of(days), found, train_rows, dropped)
        if work.history is not None:
            inputs = self._described(inputs, work.history)
        laid = self.engine.each("members", partial(partition.lay, work, inputs), list(self.parts))
        return [each for each in laid if each is not None]

    def _described(self, inputs: PartitionInputs, wanted: HistoryFeatures) -> PartitionInputs:
        """With the past of all rows, and models of items where columns are made of them."""
        share = sampled_share(sum(sum(f.rows) for f in inputs.rows))
        step = partial(describe, self.work, inputs.rows, (inputs.items, inputs.attributes), inputs.priors, share)
        made = self.engine.each("history", step, list(self.parts))
        described = {part: each for part, each in zip(self.parts, made, strict=True) if each is not None}
        fitted = None
        if wanted.fits_items:
            drawn = [each.drawn for each in described.values() if each.drawn is not None]
            fitted = fit_models(self.engine, self.work.folder, wanted, drawn)
            if fitted is not None:
                self.engine.each("items' models", partial(write_models, self.work.out), [fitted])
        return replace(inputs, described=described, fitted=fitted)

    def _history(
        self, taken: list[Taken], side_files: Mapping[int, list[Spread]]
    ) -> tuple[tuple[Spread, ...], tuple[Spread, ...]]:
        """Answers about items, and about attribute values."""
        asked = tuple(t.asked for t in taken if t.asked is not None)
        work = self.work
        if not asked or work.history is None:
            return (), ()
        told = Following(work.folder, work.parts, work.history, work.out)
        step = partial(history.items_step, told, asked, tuple(side_files.get(1, ())))
        items = self.engine.each("items", step, list(self.parts))
        questions = tuple(q for i in items for q in i.questions)
        step = partial(history.attributes_step, told, questions, tuple(v for i in items for v in i.values))
        attributes = self.engine.each("attributes", step, list(self.parts)) if questions else []
        return tuple(a for i in items for a in i.answers), tuple(a for i in attributes for a in i.answers)

    def _repeats(self, taken: list[Taken]) -> tuple[Spread, ...]:
        """Rows to drop because their uid repeats; raises where they are refused."""
        uids = tuple(t.uids for t in taken if t.uids is not None)
        step = partial(repeated_uids, self.work, uids)
        found = [r for r in self.engine.each("split", step, list(self.parts)) if r is not None] if uids else []
        if found and not self.work.repeats:
            refuse_repeats(found, self.rows.uid_column, self.rows.where)
        if found:
            self.counts["rows dropped that repeat a uid"] = sum(r.rows for r in found)
        return tuple(r.dropped for r in found)

    def _side_parts(self, files: Mapping[int, list[Spread]], laid: Sequence[Laid]) -> list[SidePart]:
        return [
            SidePart(entity, part, tuple(files.get(entity, ())), tuple(s for each in laid for s in each.ids[entity]))
            for entity in range(len(self.work.entities))
            for part in self.parts
        ]

    def _checked_sides(self, parts: Sequence[SidePart], weighed: Sequence[Weighed]) -> list[IdCounts]:
        """Who is in the dataset, by entity.

        Raises:
            DataError: ids of a side that have several rows.
        """
        result = []
        for entity in range(len(self.work.entities)):
            here = [w for p, w in zip(parts, weighed, strict=True) if p.entity == entity]
            result.append(sum((w.ids for w in here), IdCounts()))
            if (table := self.rows.side_tables.get(entity)) is not None:
                sides.refuse_repeated(here, table.key, table.where)
                unknown, known = sum(w.unknown for w in here), sum(w.known for w in here)
                lost, idle = ([e for w in here if (e := getattr(w, n)) is not None] for n in ("lost", "idle"))
                met = Found(known + unknown, unknown, min(lost, default=None), min(idle, default=None))
                report_join(table.where, table.key, self.work.entities[entity].source, met, self.rows.remarks)
                if unknown:
                    self.counts[f"{table.name} of interactions without a row in their table"] = unknown
        return result

    def _fitted(self, tally: Tally, laid: Sequence[Laid], parts: Sequence[SidePart]) -> tuple[Schema, list[str]]:
        work = self.work
        keys, least, most = limits(work.features)
        by_rows = partial(partition.sum_partition, work, tally.ranges)
        totals = self.engine.each("statistics", by_rows, [path for each in laid for path in each.paths])
        with_rows = [p for p in parts if p.rows]
        totals += self.engine.each("statistics", partial(sides.sum_side, work, tally.ranges), with_rows)
        sums = {key: tuple(sum(t[key][i] for t in totals if key in t) for i in (0, 1)) for key in tally.ranges}
        terms: list[pa.Table | None] = []
        if tally.terms:
            function = partial(common_terms, work.folder, tuple(tally.terms), least, most)
            terms = self.engine.each("vocabularies", function, list(self.parts))
        return fit_schema(
            self.recipe.name,
            self.rows.recipe,
            work.features,
            work.places,
            work.entities,
            self.rows.types(),
            tally,
            sums,  # type: ignore[arg-type]
            vocabulary_terms(keys, most, terms),
            self.recipe.checks,
            self.rows.matches,
        )

    def _features(self, schema: Schema) -> Features:
        """The schema, and its parts with staged columns for sources: raw and staged rows are encoded alike."""
        places = {(p.source, p.kind, p.separator): p.name for p in self.work.places.values()}

        def part(side: int | None) -> Schema:
            here = (f for f in schema.raw_features if self.work.side_of(f.source) == side)
            staged = tuple(
                f.model_copy(update={"source": places[f.source, f.kind, getattr(f, "separator", None)]}) for f in here
            )
            return schema.model_copy(update={"features": staged})

        by_side = {s: part(s) for s in self.work.sides if part(s).features}
        return Features(schema, part(None), by_side)

    def _edges(self, features: Features, encoded: Sequence[Encoded], laid: Sequence[Laid]) -> Edges:
        samples: dict[str, Any] = {}
        drawn = [each.edges for each in laid if each.edges is not None]
        if features.own.numerics:
            own = features.own.model_copy(update={"features": features.own.numerics})
            made = encode(own, pa.concat_tables(drawn))
            samples |= {f.name: made[f.name].to_numpy() for f in own.features}
        for side, schema in features.sides.items():
            here = [e.edges for e in encoded if e.side.entity == side]
            samples |= {f.name: np.concatenate([e[f.name] for e in here]) for f in schema.numerics if here}
        samples |= {match.name: match_levels(match) for match in features.whole.matches}
        return edges_of(samples)

    def _written(
        self,
        features: Features,
        encoded: Sequence[Encoded],
        parts: Sequence[SidePart],
        edges: Edges,
        laid: Sequence[Laid],
    ) -> list[WrittenShard]:
        by_side = {s: tuple(e for e in encoded if e.side.entity == s) for s in features.sides}
        raw = {s: tuple(p for p in parts if p.entity == s) for s in features.sides}
        function = partial(write_shard, self.work, features, by_side, raw, edges)
        return self.engine.each("shards", function, plan_shards(laid, self.recipe.shard_rows))


def _refuse_empty(labels: Any) -> None:
    """Raises where a split has no rows, or one class only.

    Args:
        labels: [splits, 2] rows.
    """
    by_split = dict(zip(SPLITS, labels.tolist(), strict=True))
    if empty := [s for s, n in by_split.items() if not sum(n)]:
        seen = ", ".join(f"{s}: {sum(n)} rows" for s, n in by_split.items())
        raise DataError(f"the split leaves {' and '.join(empty)} empty ({seen}); change `split`")
    for split, (negatives, positives) in by_split.items():
        if not negatives or not positives:
            one = "positive" if positives else "negative"
            raise DataError(f"all {negatives + positives} rows of {split} are {one}; both classes are needed")


def _days(taken: Sequence[Taken]) -> Days:
    result: Days = {}
    for each in taken:
        for day, numbers in each.days.items():
            before = result.get(day, (0,) * len(numbers))
            result[day] = tuple(a + b for a, b in zip(before, numbers, strict=True))
    return result


def _fold(recipe: Recipe) -> str | None:
    return recipe.split.column if isinstance(recipe.split, ColumnSplit) else None
