"""Spark ML: `GlmixAutoML(...).fit(frame)` races strategies on the rows of a data frame; its model scores data frames.

    from glmix_automl.estimator import GlmixAutoML

    automl = GlmixAutoML(memberCol="member", itemCol="job", labelCol="applied", timestampCol="at", workdir="automl")
    model = Pipeline(stages=[automl]).fit(frame)
    model.transform(rows)  # adds `probability` and `score`, the log-odds
    model.write().save("hdfs:///models/jobs")

A fit is a preparation and a study as by the commands, in a folder of its own inside `workdir`, where the report lies.
Only the DataFrame API is used. Columns are as in the frame, without history: a row must be scored from itself.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml import Model as SparkModel
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, MapType, StringType, StructField, StructType

from glmix_automl.api import Study, prepare
from glmix_automl.errors import ConfigError
from glmix_automl.layout import MODEL, Folder
from glmix_automl.prepare.proposal import search
from glmix_automl.serving.frames import model_files, unpack_model

TABLE, DATASET, STUDY, FILES = "rows.parquet", "dataset", "study", "files"


class GlmixParams(Params):
    """What an estimator and its model share."""

    probabilityCol: Param[str] = Param(Params._dummy(), "probabilityCol", "new column", TypeConverters.toString)
    scoreCol: Param[str] = Param(Params._dummy(), "scoreCol", "new column, log-odds", TypeConverters.toString)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(probabilityCol="probability", scoreCol="score")


class GlmixAutoML(Estimator["GlmixAutoMLModel"], GlmixParams, DefaultParamsReadable, DefaultParamsWritable):
    """Finds the best model of a response of members to items, by validation AUC."""

    memberCol: Param[str] = Param(Params._dummy(), "memberCol", "names the member", TypeConverters.toString)
    itemCol: Param[str] = Param(Params._dummy(), "itemCol", "names the item", TypeConverters.toString)
    labelCol: Param[str] = Param(Params._dummy(), "labelCol", "response: 0 or 1, boolean", TypeConverters.toString)
    timestampCol: Param[str] = Param(
        Params._dummy(), "timestampCol", "when; splits by time, else at random", TypeConverters.toString
    )
    featuresCols: Param[list[str]] = Param(
        Params._dummy(), "featuresCols", "what to learn from; all other columns", TypeConverters.toListString
    )
    categoricalCols: Param[list[str]] = Param(
        Params._dummy(), "categoricalCols", "numbers among them that are codes", TypeConverters.toListString
    )
    workdir: Param[str] = Param(Params._dummy(), "workdir", "folder of the fits", TypeConverters.toString)
    search: Param[str] = Param(
        Params._dummy(), "search", "keys of a search file laid over the default, as JSON", TypeConverters.toString
    )
    seed: Param[int] = Param(Params._dummy(), "seed", "of the study", TypeConverters.toInt)

    @keyword_only
    def __init__(
        self,
        *,
        memberCol: str | None = None,
        itemCol: str | None = None,
        labelCol: str = "label",
        timestampCol: str | None = None,
        featuresCols: list[str] | None = None,
        categoricalCols: list[str] | None = None,
        workdir: str | None = None,
        search: str | None = None,
        seed: int = 0,
        probabilityCol: str = "probability",
        scoreCol: str = "score",
    ) -> None:
        """Nothing is started. `search` lays keys of `docs/search.md` over the race that `init` writes, the race itself
        or `{"limits": {"seconds": 60}}`.
        """
        super().__init__()
        self._setDefault(labelCol="label", categoricalCols=[], workdir="glmix-automl", search="{}", seed=0)
        given: dict[str, Any] = self._input_kwargs  # type: ignore[attr-defined]
        self._set(**{name: value for name, value in given.items() if value is not None})

    def recipe(self, schema: StructType) -> dict[str, Any]:
        """The preparation of a frame with these columns, as plain data without its places.

        Raises:
            ConfigError: a column is not there, or is of a type that no feature can be made of.
        """
        fields = {field.name: field.dataType for field in schema.fields}
        roles = {"member": self._role("memberCol", fields), "item": self._role("itemCol", fields)}
        label = self._role("labelCol", fields)
        taken = {*roles.values(), label}
        events: dict[str, Any] = {**roles, "label": {"column": label}}
        timed = self.isDefined(self.timestampCol)
        if timed:
            events["timestamp"] = {"column": self._role("timestampCol", fields)}
            taken.add(events["timestamp"]["column"])
        default = [name for name in fields if name not in taken]
        names = self.getOrDefault(self.featuresCols) if self.isDefined(self.featuresCols) else default
        events["features"] = [self._feature(name, fields) for name in names]
        split = {"by": "time"} if timed else {"by": "random"}
        return {"recipe": "interactions", "interactions": events, "history": None, "split": split}

    def _role(self, param: str, fields: Mapping[str, DataType]) -> str:
        if not self.isDefined(param):
            raise ConfigError(f"{param}: is needed; the columns are {', '.join(fields)}")
        name = str(self.getOrDefault(param))
        if name not in fields:
            raise ConfigError(f"{param}: there is no column {name!r}; the columns are {', '.join(fields)}")
        return name

    def _feature(self, name: str, fields: Mapping[str, DataType]) -> dict[str, Any]:
        if name not in fields:
            raise ConfigError(f"featuresCols: there is no column {name!r}; the columns are {', '.join(fields)}")
        kind = fields[name]
        if isinstance(kind, StructType):
            raise ConfigError(f"featuresCols: {name!r} is a struct; select what is in it, or leave it out")
        if isinstance(kind, ArrayType | MapType):
            return {"kind": "bag", "source": name}
        is_code = isinstance(kind, StringType) or name in self.getOrDefault(self.categoricalCols)
        return {"kind": "categorical" if is_code else "numeric", "source": name}

    def _fit(self, dataset: DataFrame) -> "GlmixAutoMLModel":
        recipe = self.recipe(dataset.schema)
        place = Folder(self.getOrDefault(self.workdir)).within(f"fit-{uuid.uuid4().hex[:8]}")
        dataset.write.parquet(place.within(TABLE).uri)
        recipe["interactions"]["table"] = {"path": TABLE}
        recipe |= {"name": str(self.uid), "root": place.uri, "output": place.within(DATASET).uri}
        prepare(recipe)
        asked = json.loads(self.getOrDefault(self.search))
        given = {**yaml.safe_load(search(str(self.uid))), "seed": self.getOrDefault(self.seed), **asked}
        given |= {"dataset": place.within(DATASET).uri, "study": place.within(STUDY).uri}
        study = Study(given).run()
        model = GlmixAutoMLModel(model_files(study.folder.files.within(MODEL)))
        return self._copyValues(model)


class GlmixAutoMLModel(SparkModel, GlmixParams, MLReadable["GlmixAutoMLModel"], MLWritable):
    """A model that adds columns `probability` and `score`; its files travel with the work, so no shared disk is needed.

    Attributes:
        files: name within an exported model's folder, and content.
    """

    def __init__(self, files: tuple[tuple[str, bytes], ...] = ()) -> None:
        super().__init__()
        self.files = files

    def _transform(self, dataset: DataFrame) -> DataFrame:
        new = self.getOrDefault(self.probabilityCol), self.getOrDefault(self.scoreCol)
        if there := set(new) & set(dataset.columns):
            raise ConfigError(
                f"columns {', '.join(sorted(there))} are in the frame already: set probabilityCol, scoreCol"
            )
        fields = [StructField(new[0], DoubleType()), StructField(new[1], FloatType())]
        plain = dataset.toDF(*(f"c{place}" for place in range(len(dataset.columns))))  # as names may have dots
        work = _scorer(self.files, tuple(dataset.columns), new)
        return plain.mapInArrow(work, StructType([*dataset.schema.fields, *fields]))

    def write(self) -> "_ModelWriter":
        """A writer of the model's files and parameters, to any place that Spark writes to."""
        return _ModelWriter(self)

    @classmethod
    def read(cls) -> "_ModelReader":
        """A reader of what `write` wrote."""
        return _ModelReader()


def _scorer(
    files: tuple[tuple[str, bytes], ...], names: tuple[str, ...], new: tuple[str, str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = unpack_model(files)
        for batch in batches:
            log_odds = model.score(pa.Table.from_batches([batch]).rename_columns(list(names)))
            probability = pa.array(np.exp(-np.logaddexp(0, -log_odds.astype(np.float64))), pa.float64())
            columns = [*batch.columns, probability, pa.array(log_odds, pa.float32())]
            yield pa.RecordBatch.from_arrays(columns, names=[*names, *new])

    return work


class _ModelWriter(MLWriter):
    def __init__(self, model: GlmixAutoMLModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        spark = self.sparkSession
        DefaultParamsWriter.saveMetadata(self._model, path, spark)
        rows = [(name, bytearray(content)) for name, content in self._model.files]
        spark.createDataFrame(rows, "name string, content binary").write.parquet(f"{path}/{FILES}")


class _ModelReader(MLReader[GlmixAutoMLModel]):
    def load(self, path: str) -> GlmixAutoMLModel:
        spark: SparkSession = self.sparkSession
        kind = f"{GlmixAutoMLModel.__module__}.{GlmixAutoMLModel.__name__}"
        metadata = DefaultParamsReader.loadMetadata(path, spark, kind)
        rows = spark.read.parquet(f"{path}/{FILES}").collect()
        model = GlmixAutoMLModel(tuple(sorted((row.name, bytes(row.content)) for row in rows)))
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
