"""An exported model in MLflow: loaded by name from its folder of arrays and JSON, so nothing is unpickled.

The code travels with the model (`code_paths`), the libraries by `REQUIREMENTS`; the rest of this package's dependencies
(Spark, Horovod, ...) is not needed to score.
"""

from importlib.metadata import version
from typing import Any

import pandas as pd

from glmix_automl.errors import GlmixError
from glmix_automl.layout import PACKAGE, Folder
from glmix_automl.schema import Numeric, Schema
from glmix_automl.serving.columns import optional_columns, required_columns

LIBRARIES = ("mlflow", "numba", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "scipy", "tensorflow")


def requirements() -> list[str]:
    """What a process needs to load and use the model, at the versions it was made with."""
    return [f"{name}=={version(name)}" for name in LIBRARIES]


def code() -> list[str]:
    """The code that travels with the model."""
    return [str(PACKAGE)]


def _load_pyfunc(path: str) -> Any:
    """What MLflow calls to load the model."""
    from glmix_automl.serving.model import Model

    return Scorer(Model(Folder(path)))


class Scorer:
    """What MLflow calls to predict."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`probability` and `log_odds` of each raw row.

        Raises:
            MlflowException: what is wrong with the rows; a server answers 400 with it.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            found: pd.DataFrame = self._model.predict(rows)
        except GlmixError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        return found


def model_signature(schema: Schema, memory: Any = None) -> Any:
    """Raw columns in, probability and log-odds out; what the model fills in may be left out, all else is required. A
    column that may be null or an integer is of any type: MLflow would refuse integers for doubles and NaN for integers,
    and the features take both.

    Args:
        schema: of the dataset.
        memory: what the model remembers of members and items, or None.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, TensorSpec
    from mlflow.types.schema import Schema as Columns

    texts = {name for name, raw_type in schema.raw_types.items() if raw_type.lower() == "string"}
    texts -= {
        f.source for f in schema.raw_features if isinstance(f, Numeric)
    }  # numbers kept as text may come as numbers
    texts -= {memory.rule.column} if memory is not None and memory.rule is not None else set()
    named = [(name, True) for name in required_columns(schema, memory)]
    named += [(name, False) for name in optional_columns(schema, memory)]
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if name in texts else AnyType(), name, required=required) for name, required in named
    ]
    return ModelSignature(Columns(inputs), Columns([ColSpec("double", "probability"), ColSpec("double", "log_odds")]))


def example(schema: Schema, rows: pd.DataFrame, memory: Any = None) -> pd.DataFrame:
    """Raw rows that encode to given feature rows, as near as the transforms can be undone: an example of the input.
    What the model fills in is left out, but for a time of after its data.

    Args:
        schema: of the dataset.
        rows: columns of a few rows of it.
        memory: what the model remembers of members and items, or None.
    """
    from glmix_automl.serving.example import later_times, undone

    columns: dict[str, list[Any]] = {
        entity.source: rows[entity.name].tolist() for entity in schema.entities if entity.name in rows
    }
    filled = optional_columns(schema, memory)
    for feature in schema.raw_features:
        lone = sum(other.source == feature.source for other in schema.raw_features) == 1
        if isinstance(feature, Numeric) and feature.transform == "missing" and not lone:
            continue
        if feature.source not in columns and feature.source not in filled:
            columns[feature.source] = undone(schema, feature, rows)
    if memory is not None and memory.rule is not None and memory.rule.format is None:
        columns[memory.rule.column] = later_times(memory.known.until, len(rows))
    return pd.DataFrame(columns)
