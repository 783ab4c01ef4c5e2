"""Writes the raw tables of a data set, and `truth.json`: what they were made from and how far a model can get."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from glmix_automl import config
from glmix_automl.errors import DataError
from glmix_automl.generate import columns, jymbii_tables, pymk_tables
from glmix_automl.generate.attainable import attainable
from glmix_automl.generate.ceiling import BinnedAuc
from glmix_automl.generate.jymbii import Jymbii, interactions
from glmix_automl.generate.pymk import Pymk
from glmix_automl.layout import Folder
from glmix_automl.schema import LABEL, UID, WEIGHT

TRUTH = "truth.json"
_OTHER = "the dataset was not prepared from these tables, or without their ids"
LATEST = 0.9
"""The last rows by time begin at this share of it."""
PAIRS = 1_000_000
"""Pairs of members that a network's ceilings are estimated from, at most one per link."""


@dataclass(frozen=True)
class DataSet:
    """One kind of generated data: its settings, its tables by name in parts, and its ceilings by name."""

    settings: type[Jymbii] | type[Pymk]
    tables: Callable[[Any], dict[str, list[columns.TablePart]]]
    ceilings: Callable[[Any], dict[str, float]]


def jymbii_ceilings(settings: Jymbii) -> dict[str, float]:
    """AUC of the true probabilities over all rows and the last 10 % by time, with and without the random effects, and
    with effects as they can be learned from the rows before.
    """
    aucs: dict[str, BinnedAuc] = {}
    for shown in columns.by_rows(partial(interactions, settings), settings.rows):
        for kind, counts in (("all rows", np.ones(len(shown.share))), ("last 10 % by time", shown.share >= LATEST)):
            for name, score in (("", shown.probability), (", no random effects", shown.fixed_probability)):
                auc = aucs.setdefault(f"{kind}{name}", BinnedAuc())
                auc.add(score, counts * shown.response, counts * (1 - shown.response))
    found = {name: auc.value() for name, auc in aucs.items()}
    learned = attainable(settings, LATEST, LATEST)
    return found if learned is None else found | {"last 10 % by time, random effects learned before": learned}


def pymk_ceilings(settings: Pymk) -> dict[str, float]:
    """AUC that an oracle can expect on whether two members are linked: over any two, and over two of one team.

    The oracle knows everyone's groups and effects, which a model can only guess from the network and the attributes.
    The ceiling of a prepared dataset, whose candidates are two steps apart, is that of `ceiling_of`.
    """
    aucs: dict[str, BinnedAuc] = {}
    for near, kind in ((False, "any two members"), (True, "two members of a team")):
        drawn = partial(pymk_tables.draw_pairs, settings, near)
        for pairs in columns.by_rows(drawn, min(PAIRS, settings.rows)):
            for name, score in (("", pairs.score), (", no member effects", pairs.fixed_score)):
                auc = aucs.setdefault(f"{kind}{name}", BinnedAuc())
                auc.add(score, pairs.probability, 1 - pairs.probability)
    return {name: auc.value() for name, auc in aucs.items()}


DATA_SETS = {
    "pymk": DataSet(Pymk, pymk_tables.pymk_tables, pymk_ceilings),
    "jymbii": DataSet(Jymbii, jymbii_tables.jymbii_tables, jymbii_ceilings),
}


def write_tables(
    kind: str,
    settings: Pymk | Jymbii,
    output: str,
    form: Literal["parquet", "csv"] = "parquet",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes `<output>/<table>.<form>/`, a file a part, for every table, and `truth.json` last.

    Args:
        kind: one of `DATA_SETS`.
        settings: of that kind.
        output: URI of a folder.
        form: of the tables; in CSV, lists are joined by `|`.
        overwrite: whether tables written before may be replaced.

    Returns:
        What `truth.json` holds: the kind, the settings, the rows of each table, the ceilings by name.

    Raises:
        DataError: there is something at `output` already, or it cannot be written.
    """
    folder = Folder(output)
    if folder.exists():
        if not overwrite:
            raise DataError(f"{output}: is there already; replace it with --overwrite, or name another output")
        folder.remove(TRUTH)  # without it the tables are known to be unfinished
    data_set, rows = DATA_SETS[kind], {}
    for name, parts in data_set.tables(settings).items():
        folder.remove(f"{name}.{form}")
        rows[name] = sum(columns.by_threads(partial(_write, folder, f"{name}.{form}", form), list(enumerate(parts))))
    truth = {"kind": kind, "settings": settings.model_dump(), "rows": rows, "ceilings": data_set.ceilings(settings)}
    folder.write(TRUTH, json.dumps(truth, indent=1))
    return truth


def ceiling_of(truth: str, dataset: str, window: tuple[float, float] = (0.0, 1.0)) -> dict[str, dict[str, float]]:
    """The ceiling on the splits of a prepared dataset: AUC of the true probabilities on its labels and weights.

    Args:
        truth: the folder that the raw tables were written to.
        dataset: the dataset prepared from them. Of a network, entities `left` and `right` are node ids; of suggestions,
            `uid` is the impression id.
        window: for a network, the part of time in which the hidden links were made; all of it if hidden at random.

    Returns:
        Split -> score -> AUC; `oracle` knows all, `oracle without effects` takes random effects at their mean.

    Raises:
        DataError: no truth there, or none that fits the dataset.
    """
    content = json.loads(Folder(truth).read(TRUTH))
    settings = config.parse(content["settings"], DATA_SETS[content["kind"]].settings, f"{truth}/{TRUTH}")
    ids, score = (
        (("left", "right"), partial(_pair_scores, settings, window))
        if isinstance(settings, Pymk)
        else ((UID,), partial(_impression_scores, settings))
    )
    found = {}
    for split in ("train", "validation", "test"):
        aucs = BinnedAuc(), BinnedAuc()
        for rows in _rows(dataset, split, (*ids, LABEL, WEIGHT)):
            label, weight = (rows[name].to_numpy(zero_copy_only=False) for name in (LABEL, WEIGHT))
            for auc, scores in zip(aucs, score(*(rows[name] for name in ids)), strict=True):
                auc.add(scores, weight * label, weight * (1 - label))
        found[split] = dict(zip(("oracle", "oracle without effects"), (auc.value() for auc in aucs), strict=True))
    return found


def _rows(dataset: str, split: str, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    folder = Folder(dataset)
    if not folder.exists(split):
        raise DataError(f"{dataset}: no split {split!r} there; name the folder of a prepared dataset")
    shards = ds.dataset(folder.path(split), filesystem=folder.filesystem, format="parquet")
    if absent := [name for name in names if name not in shards.schema.names]:
        raise DataError(f"{dataset}: no column {absent[0]!r}: it was not prepared from these tables")
    return shards.to_batches(columns=list(names), batch_size=columns.BATCH)


def _pair_scores(
    settings: Pymk, window: tuple[float, float], left: pa.Array, right: pa.Array
) -> tuple[np.ndarray, np.ndarray]:
    one, other = (_numbers(pc.utf8_slice_codeunits(ids.cast(pa.string()), 1)) for ids in (left, right))
    truth = pymk_tables.pair_truth(settings, one, other, window)
    return truth.score, truth.fixed_score


def _impression_scores(settings: Jymbii, uid: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    row = _numbers(uid)
    if len(row) and not 0 <= row.min() <= row.max() < settings.rows:
        raise DataError(f"uid {row.max()} is no impression of the {settings.rows:,} generated ones: {_OTHER}")
    shown = interactions(settings, row)
    return shown.probability, shown.fixed_probability


def _numbers(ids: pa.Array) -> np.ndarray:
    try:
        return ids.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise DataError(f"{error}: {_OTHER}") from error


def _write(folder: Folder, name: str, form: str, numbered: tuple[int, columns.TablePart]) -> int:
    """Computes a part, writes it, and says how many rows it has."""
    number, part = numbered
    table, content = part(), pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(table, content)
    else:
        pyarrow.csv.write_csv(_flat(table), content)
    folder.write(f"{name}/part-{number:05d}.{form}", content.getvalue().to_pybytes())
    return int(table.num_rows)


def _flat(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            table = table.set_column(place, field.name, pc.binary_join(table[field.name], "|"))
    return table
