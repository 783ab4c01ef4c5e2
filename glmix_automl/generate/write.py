"""Writes the raw tables of a data set, and `truth.json`: what they were made from and how far a model can get."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from glmix_automl import config
from glmix_automl.errors import DataError
from glmix_automl.generate import jymbii_tables, pymk_tables
from glmix_automl.generate.attainable import attainable
from glmix_automl.generate.ceiling import binned_auc
from glmix_automl.generate.jymbii import Jymbii
from glmix_automl.generate.pymk import Pymk
from glmix_automl.layout import Folder

TRUTH = "truth.json"
LATEST = 0.9
"""The last rows by time begin at this share of it."""
PAIRS = 1_000_000
"""Pairs of members that a network's ceilings are estimated from, at most one per link."""


@dataclass(frozen=True)
class DataSet:
    """One kind of generated data: its settings, its tables by name, and its ceilings by name."""

    settings: type[Jymbii] | type[Pymk]
    tables: Callable[[SparkSession, Any], dict[str, DataFrame]]
    ceilings: Callable[[SparkSession, Any], dict[str, float]]


def jymbii_ceilings(spark: SparkSession, settings: Jymbii) -> dict[str, float]:
    """AUC of the true probabilities over all rows and the last 10 % by time, with and without the random effects, and
    with effects as they can be learned from the rows before.
    """
    label, late = F.col("response"), F.when(F.col("share") >= LATEST, 1).otherwise(0)
    scores = {"": F.col("probability"), ", no random effects": F.col("fixed_probability")}
    rows = jymbii_tables.jymbii_truth(spark, settings)
    kinds = {"all rows": (label, 1 - label), "last 10 % by time": (late * label, late * (1 - label))}
    found = {f"{kind}{score}": auc for (kind, score), auc in binned_auc(rows, kinds, scores).items()}
    learned = attainable(settings, LATEST, LATEST)
    return found if learned is None else found | {"last 10 % by time, random effects learned before": learned}


def pymk_ceilings(spark: SparkSession, settings: Pymk) -> dict[str, float]:
    """AUC that an oracle can expect on whether two members are linked: over any two, and over two of one team.

    The oracle knows everyone's groups and effects, which a model can only guess from the network and the attributes.
    The ceiling of a prepared dataset, whose candidates are two steps apart, is that of `ceiling_of`.
    """
    ceilings: dict[str, float] = {}
    for near, name in ((False, "any two members"), (True, "two members of a team")):
        pairs = pymk_tables.pymk_truth(spark, settings, min(PAIRS, settings.rows), near)
        scores = {"": F.col("score"), ", no member effects": F.col("fixed_score")}
        found = binned_auc(pairs, {name: (F.col("probability"), 1 - F.col("probability"))}, scores)
        ceilings |= {f"{kind}{score}": auc for (kind, score), auc in found.items()}
    return ceilings


DATA_SETS = {
    "pymk": DataSet(Pymk, pymk_tables.pymk_tables, pymk_ceilings),
    "jymbii": DataSet(Jymbii, jymbii_tables.jymbii_tables, jymbii_ceilings),
}


def write_tables(
    spark: SparkSession,
    kind: str,
    settings: Pymk | Jymbii,
    output: str,
    form: Literal["parquet", "csv"] = "parquet",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes `<output>/<table>.<form>` for every table, and `truth.json` last.

    Args:
        spark: the session.
        kind: one of `DATA_SETS`.
        settings: of that kind.
        output: URI of a folder.
        form: of the tables; in CSV, lists are joined by `|`.
        overwrite: whether tables written before may be replaced.

    Returns:
        What `truth.json` holds: the kind, the settings, the rows of each table, the ceilings by name.

    Raises:
        DataError: there is something at `output` already.
    """
    folder = Folder(output)
    if folder.exists():
        if not overwrite:
            raise DataError(f"{output}: is there already; replace it with --overwrite, or name another output")
        if folder.exists(TRUTH):  # without it the tables are known to be unfinished
            folder.filesystem.delete_file(folder.path(TRUTH))
    data_set, rows = DATA_SETS[kind], {}
    for name, table in data_set.tables(spark, settings).items():
        uri = f"{output.rstrip('/')}/{name}.{form}"
        _flat(table, form).write.mode("overwrite").options(header=True).format(form).save(uri)
        rows[name] = spark.read.options(header=True).format(form).load(uri).count()
    truth = {
        "kind": kind,
        "settings": settings.model_dump(),
        "rows": rows,
        "ceilings": data_set.ceilings(spark, settings),
    }
    folder.write(TRUTH, json.dumps(truth, indent=1))
    return truth


def ceiling_of(
    spark: SparkSession, truth: str, dataset: str, window: tuple[float, float] = (0.0, 1.0)
) -> dict[str, dict[str, float]]:
    """The ceiling on the splits of a prepared dataset: AUC of the true probabilities on its labels and weights.

    Args:
        spark: the session.
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
    found = {}
    for split in ("train", "validation", "test"):
        frame = spark.read.parquet(f"{dataset.rstrip('/')}/{split}")
        if isinstance(settings, Pymk):
            rows = pymk_tables.score_pairs(_ends(frame, dataset), settings, "left", "right", window)
            scores = {"oracle": F.col("score"), "oracle without effects": F.col("fixed_score")}
        else:
            known = jymbii_tables.jymbii_truth(spark, settings).withColumn("uid", F.col("impression_id").cast("string"))
            rows = frame.select("uid", "label", "weight").join(known, "uid")
            scores = {"oracle": F.col("probability"), "oracle without effects": F.col("fixed_probability")}
        label, weight = F.col("label"), F.col("weight")
        aucs = binned_auc(rows, {split: (weight * label, weight * (1 - label))}, scores)
        found[split] = {score: auc for (_, score), auc in aucs.items()}
    return found


def _ends(frame: DataFrame, dataset: str) -> DataFrame:
    if missing := [name for name in ("left", "right") if name not in frame.columns]:
        raise DataError(f"{dataset}: no entity {missing[0]!r}: it was not prepared from this network's nodes")
    return frame.select("left", "right", "label", "weight")


def _flat(table: DataFrame, form: str) -> DataFrame:
    if form != "csv":
        return table
    lists = {f.name for f in table.schema if isinstance(f.dataType, ArrayType)}
    return table.select(*(F.concat_ws("|", name).alias(name) if name in lists else name for name in table.columns))
