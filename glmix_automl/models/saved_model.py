"""The fixed part of a model as a TensorFlow SavedModel on encoded features, for servers that know TensorFlow only."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glmix_automl.layout import Folder
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.rows import BagRows, Rows
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema

SAVED_MODEL = "saved_model"
"""Folder in an exported model."""


def save_fixed_part(folder: Folder, schema: Schema, terms: Sequence[tuple[float, Coordinate]], bias: float) -> None:
    """Writes `bias + sum of weight * score` of the coordinates that TensorFlow computes; nothing where there are none.

    Its signature takes `numerics` (float32 [rows, numerics]), `categoricals` (int32 [rows, categoricals]) and for bag i
    of the schema `bag_i_splits` (int32 [rows + 1]), `bag_i_ids` (int32) and `bag_i_values` (float32), all as a dataset
    has them, and gives `log_odds` (float32 [rows]).

    Args:
        folder: of the exported model.
        schema: of the dataset.
        terms: weight and coordinate.
        bias: of the model.
    """
    kept = [(weight, coordinate) for weight, coordinate in terms if coordinate.in_graph]
    folder.remove(SAVED_MODEL)
    if not kept:
        return
    module = tf.Module(name="fixed_part")
    module.kept = [list(each.weights.values()) for _, each in kept]  # type: ignore[attr-defined]  # what is to be saved

    def score(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = _rows(schema, inputs)
        parts: list[Any] = [weight * each.graph(rows) for weight, each in kept]  # type: ignore[attr-defined]
        return {"log_odds": tf.add_n(parts) + bias}

    # Not an attribute of the module: as such it is traced once more, for calls that nobody makes.
    signature = tf.function(score, autograph=False).get_concrete_function(**_signature(schema))
    with tempfile.TemporaryDirectory(prefix="glmix-saved-model-") as place:
        with contextlib.redirect_stdout(None):
            tf.saved_model.save(module, place, signatures={"serving_default": signature})
        for path in sorted(Path(place).rglob("*")):
            if path.is_file():
                folder.write(f"{SAVED_MODEL}/{path.relative_to(place).as_posix()}", path.read_bytes())


def _signature(schema: Schema) -> dict[str, tf.TensorSpec]:
    found = {
        "numerics": tf.TensorSpec([None, len(schema.numerics)], tf.float32, "numerics"),
        "categoricals": tf.TensorSpec([None, len(schema.categoricals)], tf.int32, "categoricals"),
    }
    for number in range(len(schema.bags)):
        for part, kind in (("splits", tf.int32), ("ids", tf.int32), ("values", tf.float32)):
            found[f"bag_{number}_{part}"] = tf.TensorSpec([None], kind, f"bag_{number}_{part}")
    return found


def _rows(schema: Schema, inputs: dict[str, tf.Tensor]) -> Rows:
    bags = []
    for number in range(len(schema.bags)):
        splits, ids, values = (inputs[f"bag_{number}_{part}"] for part in ("splits", "ids", "values"))
        owners = tf.repeat(tf.range(tf.size(splits) - 1), splits[1:] - splits[:-1])
        bags.append(BagRows(splits, owners, ids, values))
    # The label says how many rows there are; nothing else of it is used.
    nothing = tf.zeros([tf.shape(inputs["numerics"])[0]])
    return Rows(inputs["numerics"], inputs["categoricals"], tuple(bags), nothing, nothing, nothing)
