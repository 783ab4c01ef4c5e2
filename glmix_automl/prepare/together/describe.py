"""The columns of history that come from models of items, and what is kept so that scoring makes them too.

history/similar, history/factors   the last models, of all rows: a file for each effect
history/last   each member's last rows, by partitions of members: ids as text, time, effects
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.layout import Folder
from glmix_automl.prepare.as_of import NEVER
from glmix_automl.prepare.exchange import Ints
from glmix_automl.prepare.followed import effects_of
from glmix_automl.prepare.known import LAST_ROWS, Known, write_part
from glmix_automl.prepare.past_columns import OF_LABEL, together_kinds, together_names
from glmix_automl.prepare.together import factors, similar
from glmix_automl.prepare.together.look_back import ItemModels, Lookback, look_back
from glmix_automl.prepare.together.sample import Sample, gather, in_order
from glmix_automl.prepare.together.similar import NearestItems

if TYPE_CHECKING:
    from glmix_automl.prepare.engine import Engine
    from glmix_automl.prepare.history_features import HistoryFeatures

_SIMILAR, _FACTORS = "similar", "factors"
_MODELS = "models"


@dataclass(frozen=True)
class FittedItems:
    """ItemModels in files.

    Attributes:
        sample: what they were fitted on.
        lists: effect -> files of its lists.
        vectors: effect -> file of its vectors, and the size of effects as of each model.
    """

    sample: Sample
    lists: Mapping[str, tuple[str, str]]
    vectors: Mapping[str, tuple[str, tuple[float, ...]]]

    def every(self) -> dict[str, ItemModels]:
        """The models of all effects."""
        return {effect: self.open(effect) for effect in self.sample.effects}

    def open(self, effect: str) -> ItemModels:
        """The models of an effect, where they lie."""
        sample, lists, vectors = self.sample, None, None
        scales: tuple[float, ...] = ()
        if effect in self.lists:
            lists = similar.opened(sample.folder, self.lists[effect], len(sample.keys))
        if effect in self.vectors:
            path, scales = self.vectors[effect]
            vectors = factors.opened(sample.folder, path, sample.models)
        return ItemModels(sample.borders, sample.keys, lists, vectors, scales)


def fit_models(engine: "Engine", folder: str, wanted: "HistoryFeatures", drawn: Sequence[str]) -> FittedItems | None:
    """Fits what the wanted groups need on the rows drawn (`sample.draw`); None where they are too few."""
    sample = engine.each("items' models", partial(gather, folder, effects_of(wanted)), [tuple(drawn)])[0]
    if sample is None:
        return None
    tasks = [(kind, e) for kind, on in ((_SIMILAR, wanted.similar), (_FACTORS, wanted.factors)) if on
             for e in effects_of(wanted)]  # fmt: skip
    found = dict(zip(tasks, engine.each("items' models", partial(_fit, sample), tasks), strict=True))
    by_kind: dict[str, Any] = {
        k: {e: made for (kind, e), made in found.items() if kind == k} for k in (_SIMILAR, _FACTORS)
    }
    return FittedItems(sample, by_kind[_SIMILAR], by_kind[_FACTORS])


def _fit(sample: Sample, task: tuple[str, str]) -> Any:
    kind, effect = task
    return similar.similar(sample, effect) if kind == _SIMILAR else factors.factors(sample, effect)


def columns(
    wanted: "HistoryFeatures",
    models: Mapping[str, ItemModels],
    rows: pa.Table,
    effects: Mapping[str, Ints],
    counts: Any,
) -> tuple[dict[str, pa.Array], Lookback]:
    """The columns of rows, whole members together.

    Args:
        wanted: which groups.
        models: effect -> its models; none where there was nothing to fit on.
        rows: `key` of the member, `other` of the item, `time`; those that were known before, the last of each member
            (`Known.last`), among them.
        effects: of each row, in 65,536ths.
        counts: [rows], False for rows that only ask.
    """
    member, time, item = (rows[c].to_numpy() for c in ("key", "time", "other"))
    looked = Lookback.of(member, time, item, counts, in_order(rows, effects))
    found: dict[str, pa.Array] = {}
    for effect, signal in zip(effects_of(wanted), (OF_LABEL, *wanted.signals), strict=True):
        of_rows = look_back(models[effect], looked, effects[effect]) if effect in models else {}
        for kind, name in zip(together_kinds(wanted), together_names(wanted, signal), strict=True):
            found[name] = pa.array(of_rows.get(kind, np.zeros(len(time))))
    return found, looked


def write_last(out: str, part: int, last: pa.Table) -> None:
    """Keeps the last rows of each member of a partition, for those to come: `e0` and `e1` are the ids, with effects."""
    named = {"e0": "member", "e1": "item"}
    kept = last.drop_columns(["key", "other", "label"])
    write_part(out, LAST_ROWS, part, kept.rename_columns([named.get(n, n) for n in kept.column_names]))


def write_models(out: str, fitted: FittedItems) -> None:
    """Keeps the last models: of each item its nearest, and its vector."""
    for number, effect in enumerate(fitted.sample.effects):
        models = fitted.open(effect)
        if models.lists is not None:
            write_part(out, _SIMILAR, number, _last_lists(models.keys, models.lists))
        if models.vectors is not None:
            rank = models.vectors.shape[2]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(models.vectors[-1].reshape(-1)), rank)
            scale = np.full(len(models.keys), models.scales[-1])
            write_part(out, _FACTORS, number, pa.table({"item": models.keys, "vector": vectors, "scale": scale}))


def _last_lists(keys: Ints, lists: NearestItems) -> pa.Table:
    there = np.flatnonzero(np.diff(lists.starts))
    last = lists.starts[there + 1] - 1
    begin, count = lists.ends[last], np.diff(lists.ends)[last]
    entry = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
    columns = {"item": keys[np.repeat(there, count)], "other": keys[lists.other[entry]]}
    columns |= {n: getattr(lists, n)[entry] for n in ("similarity", "together")}
    return pa.table(columns)


def answer_together(
    wanted: "HistoryFeatures",
    models: Mapping[str, ItemModels],
    known: Known | None,
    rows: pa.Table,
    effects: Mapping[str, Ints],
    part: int,
    parts: int,
) -> dict[str, pa.Array]:
    """The columns of rows to be scored and of interactions that were not known yet, from what is known.

    Args:
        wanted: which groups.
        models: fitted on newer interactions where nothing is known.
        known: at the end of the model's data.
        rows: of one of `parts` partitions of members: `key`, `other`, `time`, and `label`, below 0 of those that ask.
        effects: of each row.
        part: the partition.
        parts: how many there are.
    """
    if not wanted.fits_items:
        return {}
    last = None if known is None else known.last(part, parts)
    every, counts = rows.select(["key", "other", "time"]), rows["label"].to_numpy() >= 0
    if last is not None:
        last = last.filter(pa.array(np.isin(last["key"].to_numpy(), every["key"].to_numpy())))
        effects = {n: np.concatenate([last[n].to_numpy(), e]) for n, e in effects.items()}
        every = pa.concat_tables([last.select(every.column_names), every])
        counts = np.concatenate([np.ones(last.num_rows, bool), counts])
    found, _ = columns(wanted, models if known is None else known_models(known, wanted), every, effects, counts)
    return {name: column[every.num_rows - rows.num_rows :] for name, column in found.items()}


def known_models(known: Known, wanted: "HistoryFeatures") -> dict[str, ItemModels]:
    """The models that were kept: effect -> its last ones, for rows of any later moment."""
    if known.held is None:
        return _known_models(known.uri, wanted)
    if _MODELS not in known.held:
        known.held[_MODELS] = _known_models(known.uri, wanted)
    found: dict[str, ItemModels] = known.held[_MODELS]
    return found


def _known_models(uri: str, wanted: "HistoryFeatures") -> dict[str, ItemModels]:
    found = {}
    for number, effect in enumerate(effects_of(wanted)):
        lists = _kept(uri, _SIMILAR, number) if wanted.similar else None
        vectors = _kept(uri, _FACTORS, number) if wanted.factors else None
        if lists is not None or vectors is not None:
            found[effect] = _known(lists, vectors)
    return found


def _kept(uri: str, kind: str, number: int) -> pa.Table | None:
    place, name = Folder(uri).within(kind), f"part-{number:05d}.parquet"
    table = pq.read_table(place.path(name), filesystem=place.filesystem) if place.exists(name) else None
    return table if table is not None and table.num_rows else None


def _known(lists: pa.Table | None, vectors: pa.Table | None) -> ItemModels:
    every = [t[c].to_numpy() for t, c in ((lists, "item"), (lists, "other"), (vectors, "item")) if t is not None]
    keys = np.unique(np.concatenate(every))
    nearest, of_items = None, None
    scales: tuple[float, ...] = ()
    if lists is not None:
        item, other = (np.searchsorted(keys, lists[c].to_numpy()) for c in ("item", "other"))
        first = np.flatnonzero(np.diff(item, prepend=-1))  # of each list
        batch = {"item": item[first], "model": np.ones(len(first), np.int16), "end": np.append(first[1:], len(item))}
        entries = {"other": other.astype(np.int32), **{n: lists[n].to_numpy() for n in ("similarity", "together")}}
        nearest = NearestItems.of(pa.RecordBatch.from_pydict(batch), pa.RecordBatch.from_pydict(entries), len(keys))
    if vectors is not None:
        rank = vectors["vector"].type.list_size
        flat: npt.NDArray[np.float32] = vectors["vector"].combine_chunks().flatten().to_numpy()
        of_items = np.zeros((1, len(keys), rank), np.float32)
        of_items[0, np.searchsorted(keys, vectors["item"].to_numpy())] = flat.reshape(-1, rank)
        scales = (vectors["scale"][0].as_py(),) if vectors.num_rows else (1.0,)
    return ItemModels((int(NEVER),), keys, nearest, of_items, scales)
