"""The model card: what a model is, what it was trained on, how good it is and how it scores, as a page of Markdown."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.models.saved_model import SAVED_MODEL
from glmix_automl.schema import SPLITS, TIMESTAMP
from glmix_automl.serving.columns import optional_columns, required_columns
from glmix_automl.serving.model import Model

CARD = "model.md"


def model_card(name: str, model: Model, dataset: Dataset, measures: Mapping[str, float | None]) -> str:
    """The text of the card.

    Args:
        name: of the study.
        model: the exported one.
        dataset: what it was trained and judged on.
        measures: by name; None where one is not defined.
    """
    required, optional = required_columns(model.schema, model.memory), optional_columns(model.schema, model.memory)
    parts = [
        f"# {dataset.schema.name}: the winner of {name}",
        f"Log-odds are {model.description.bias:.6g} (bias) plus a weighted sum of {len(model.coordinates)} coordinates "
        "that were trained one on what the others leave over; the probability is their logistic function.",
        "## Data",
        f"Dataset `{dataset.schema.name}` (digest `{dataset.manifest.digest}`), recipe `{dataset.schema.recipe}`.",
        _table(("split", "rows", "base rate", "from", "to"), [_split(dataset, split) for split in SPLITS]),
        "## Measures",
        _table(("measure", "value"), [(key, f"{value:.5f}") for key, value in measures.items() if value is not None]),
        "## Coordinates",
        _table(("coordinate", "weight", "trained weights", "parameters"), [_term(*each) for each in _terms(model)]),
        "## Columns",
        f"Rows must bring: {_listed(required)}.",
        f"They may bring: {_listed(optional)}. What they do not is filled in: history from what the model knows of "
        "their members and items, the time by now." if optional else "",
        "## How to score",
        "    glmix-automl score score.yaml --set model=FOLDER      # batch: kind table, interactions or graph",
        '    mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)      # in Python',
        "    mlflow models serve -m models:/NAME@champion --env-manager local      # JSON rows over HTTP",
        f"`{SAVED_MODEL}/` is the fixed part (what TensorFlow computes) on encoded features, "
        + ("`effects/` the coefficients of random effects, " if any(c.entities for c in model.trained) else "")
        + "`schema.json` turns raw columns into features.",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _split(dataset: Dataset, split: str) -> tuple[str, ...]:
    found = dataset.manifest.splits[split]  # type: ignore[index]
    times = np.asarray(dataset.column(split, TIMESTAMP), np.float64)
    known = bool(len(times)) and bool(times.any())
    span = (_day(times.min()), _day(times.max())) if known else ("", "")
    return (split, f"{found.rows:,}", f"{found.base_rate:.4f}", *span)


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s"


def _terms(model: Model) -> list[tuple[str, float, Any]]:
    weights = (term.weight for term in model.description.terms)
    return list(zip(model.coordinates, weights, model.trained, strict=True))


def _term(name: str, weight: float, coordinate: Any) -> tuple[str, ...]:
    given = coordinate.parameters.model_dump(exclude_defaults=True)
    return (name, f"{weight:.5g}", f"{coordinate.size:,}", ", ".join(f"{k}: {v}" for k, v in given.items()))


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
