"""Raw rows of a Spark frame are scored by its executors.

Random effects of members and items are joined to the rows on the entity, so no executor holds those of all; the model's
other files go to the executors with the task, no shared disk is needed, and every Python worker loads the model, and
with it TensorFlow, once.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.layout import EFFECTS, Folder
from glmix_automl.models.checkpoint import save_coordinate
from glmix_automl.models.saved_model import SAVED_MODEL
from glmix_automl.prepare.known import HISTORY
from glmix_automl.prepare.local_files import local_path
from glmix_automl.prepare.spark_events import id_column
from glmix_automl.prepare.tables import column
from glmix_automl.schema import UID
from glmix_automl.serving.model import Model
from glmix_automl.serving.scored_rows import (
    PROBABILITY,
    RANK,
    SCORE,
    SHARES,
    VERSION,
    kept_ids,
    member_column,
    score_rows,
)
from glmix_automl.serving.settings import ScoreSettings
from glmix_automl.serving.source import ModelSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ModelBytes = tuple[tuple[str, bytes], ...]
_STAGE = "_effects"
_EFFECT, _KEY = "_glmix_effect_{}", "_glmix_key_{}"


def score_frame(
    frame: "DataFrame", settings: ScoreSettings, source: ModelSource, to: Folder, kept: Sequence[str] | None = None
) -> int:
    """Scores the rows into a folder of Parquet: how many there were.

    Args:
        frame: raw rows.
        settings: what is asked for.
        source: of the model.
        to: where scores go, which executors must see.
        kept: columns that are handed on; uid and ids unless given.

    Raises:
        DataError: `top` without members; what cannot be read of the rows.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    model = Model(source.folder)
    kept = kept_ids(model.schema, frame.columns) if kept is None else kept
    columns = _columns(frame, kept, model, settings)
    stage = Folder(local_path(to.within(_STAGE).uri))
    joined, sources = _join_effects(frame, model, stage)
    names = tuple(joined.columns)
    work = partial(_score, _files(source.folder, model), settings, source.version, kept, sources, names)
    plain = joined.toDF(*(f"c{place}" for place in range(len(names))))  # mapInArrow cannot resolve names with dots
    scored = plain.mapInArrow(work, columns)
    if settings.top is not None:
        member = column(member_column(model.schema, frame.columns, settings.top))
        ties = [F.col(UID)] if UID in kept else [column(n) for n in kept]
        within = Window.partitionBy(member).orderBy(F.col(SCORE).desc(), *ties)
        scored = scored.withColumn(RANK, F.row_number().over(within)).where(F.col(RANK) <= settings.top)
    scored.write.mode("append").parquet(to.uri)
    if stage.exists():
        stage.filesystem.delete_dir(stage.path())
    return int(frame.sparkSession.read.parquet(to.uri).count())


def _join_effects(frame: "DataFrame", model: Model, stage: Folder) -> tuple["DataFrame", dict[str, str]]:
    """The rows with the effect of their entity for each coordinate that has one, and the raw column of each."""
    sources = {}
    for place, (name, (source, coordinate)) in enumerate(model.joined.items()):
        effects = coordinate.effects()
        if effects is None or source not in frame.columns:
            continue
        folder = stage.within(str(place))
        folder.filesystem.create_dir(folder.path(), recursive=True)
        names = (_KEY.format(name), _EFFECT.format(name))
        pq.write_table(effects.rename_columns(names), folder.path("part-0.parquet"), filesystem=folder.filesystem)
        table = frame.sparkSession.read.parquet(folder.uri).hint("merge")  # however small it looks, do not broadcast it
        frame = frame.withColumn(f"{names[0]}_of", id_column(frame, source))
        frame = frame.join(table, column(f"{names[0]}_of") == column(names[0]), "left").drop(f"{names[0]}_of", names[0])
        sources[name] = source
    return frame, sources


def _score(
    files: ModelBytes,
    settings: ScoreSettings,
    version: str,
    kept: Sequence[str],
    sources: Mapping[str, str],
    names: Sequence[str],
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    model = unpack_model(files)
    for batch in batches:
        rows = pa.Table.from_batches([batch]).rename_columns(list(names))
        for name, source in sources.items():
            model.take_effects(name, rows[source], rows[_EFFECT.format(name)])
        rows = rows.drop_columns([_EFFECT.format(name) for name in sources])
        yield from score_rows(model, rows, settings, version, kept).to_batches()


def _files(folder: Folder, model: Model) -> ModelBytes:
    """A model's files by name; effects that are joined are left out, and so is history, which rows bring."""
    found = dict(model_files(folder))
    with tempfile.TemporaryDirectory(prefix="glmix-model-") as place:
        for name, (_, coordinate) in model.joined.items():
            effects = coordinate.effects()
            if effects is None:
                continue
            coordinate.take_effects(effects.slice(0, 0))
            within = Folder(place).within(name)
            save_coordinate(within, coordinate)
            home = next(t.folder for t, n in zip(model.description.terms, model.coordinates, strict=True) if n == name)
            found |= {f"{home}/{file}": within.read(file) for file in within.files()}
    return tuple(sorted(found.items()))


def model_files(folder: Folder, within: str = "") -> ModelBytes:
    """A model's files by name: what scoring needs. History, the SavedModel and lists for people stay behind."""
    names = folder.files(within.rstrip("/"))
    found = [(f"{within}{name}", folder.read(f"{within}{name}")) for name in names]
    for inner in folder.folders(within.rstrip("/")):
        if f"{within}{inner}" not in (HISTORY, EFFECTS, SAVED_MODEL):
            found += model_files(folder, f"{within}{inner}/")
    return tuple(sorted(found))


@lru_cache(2)
def unpack_model(files: ModelBytes) -> Model:
    """The model in this process; kept, so that a worker loads it once."""
    with tempfile.TemporaryDirectory(prefix="glmix-model-") as place:
        folder = Folder(place)
        for name, content in files:
            folder.write(name, content)
        return Model(folder)


def _columns(frame: "DataFrame", kept: Sequence[str], model: Model, settings: ScoreSettings) -> str:
    """The scores' columns as Spark DDL."""
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    columns = {name: kinds[name] for name in kept} | {SCORE: "float", PROBABILITY: "double"}
    if settings.coordinates:
        columns |= dict.fromkeys(model.coordinates, "float")
    if settings.explain:
        columns[SHARES] = "array<struct<coordinate: string, feature: string, log_odds: float>>"
    columns[VERSION] = "string"
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
