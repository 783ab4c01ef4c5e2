"""An exported model in MLflow: loaded by name from its folder of arrays and JSON, so nothing is unpickled.

The code travels with the model (`code_paths`), the libraries by `REQUIREMENTS`; the rest of this package's dependencies
(Spark, Horovod, ...) is not needed to score.
"""

from importlib.metadata import version
from typing import Any

import pandas as pd

from glmix_automl.layout import PACKAGE, Folder
from glmix_automl.schema import Numeric, Schema

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
        """`probability` and `log_odds` of each raw row."""
        found: pd.DataFrame = self._model.predict(rows)
        return found


def model_signature(schema: Schema) -> Any:
    """Raw columns in, probability and log-odds out. A column that may be null or an integer is of any type: MLflow
    would refuse integers for doubles and NaN for integers, and the features take both.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, TensorSpec
    from mlflow.types.schema import Schema as Columns

    texts = {name for name, raw_type in schema.raw_types.items() if raw_type.lower() == "string"}
    texts -= {f.source for f in schema.features if isinstance(f, Numeric)}  # numbers kept as text may come as numbers
    sources = dict.fromkeys(column.source for column in (*schema.features, *schema.entities))
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if name in texts else AnyType(), name, required=False) for name in sources
    ]
    return ModelSignature(Columns(inputs), Columns([ColSpec("double", "probability"), ColSpec("double", "log_odds")]))


def example(schema: Schema, rows: pd.DataFrame) -> pd.DataFrame:
    """Raw rows that encode to given feature rows, as near as the transforms can be undone: an example of the input.

    Args:
        schema: of the dataset.
        rows: feature columns of a few rows of it.
    """
    from glmix_automl.serving.example import undone

    columns: dict[str, list[Any]] = {}
    for feature in schema.features:
        lone = sum(other.source == feature.source for other in schema.features) == 1
        if isinstance(feature, Numeric) and feature.transform == "missing" and not lone:
            continue
        if feature.source not in columns:
            columns[feature.source] = undone(schema, feature, rows)
    return pd.DataFrame(columns)
