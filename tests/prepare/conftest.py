"""Small raw tables with what real ones have: odd names, nulls, several types, ties in time."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS = 600


@pytest.fixture
def run_settings(spark: Any) -> Iterator[Any]:
    """The shared session with what a run sets."""
    from glmix_automl.prepare.run_settings import run_settings

    with run_settings(spark):
        yield spark


def write_csv(path: Path, head: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *[["" if v is None else v for v in row] for row in rows]])


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with interactions.csv, members.csv and items.csv."""
    return write_interactions(tmp_path_factory.mktemp("raw tables"))


def write_interactions(folder: Path) -> Path:
    random = np.random.default_rng(0)
    members = [f"m{i}" for i in range(40)]
    write_csv(
        folder / "members.csv",
        ["the id", "age.years", "city", "flag", "likes"],
        [
            [
                m,
                None if i % 7 == 0 else 20 + i,
                f"c{i % 3}" if i % 5 else None,
                i % 2 == 0,
                "|".join(f"t{(i + k) % 6}" for k in range(i % 4)),
            ]
            for i, m in enumerate(members)
        ],
    )
    items = list(range(30))
    write_csv(
        folder / "items.csv",
        ["item id", "tags", "price", "since", "town"],
        [
            [i, "|".join(f"t{(i * k) % 5}" for k in range(1, 1 + i % 4)), 1.5 * i, f"20{i % 20:02d}-01-01", f"c{i % 4}"]
            for i in items
        ],
    )
    rows = []
    for n in range(ROWS):
        member, item = members[int(random.integers(40) ** 2 // 40)], int(random.choice(items))
        rating = int(random.integers(1, 6))
        moment = 1_600_000_000 + int(random.integers(0, 300)) * 7200  # several rows share a moment
        rows.append([f"u{n}", member, item, rating, moment, "web" if n % 3 else "app"])
    write_csv(folder / "interactions.csv", ["row id", "who", "item id", "stars", "when", "device"], rows)
    return folder


@pytest.fixture
def settings(tables: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe over `tables` as plain data, to be changed by a test and parsed."""
    return interactions(tables, tmp_path / "out")


def interactions(tables: Path, output: Path) -> dict[str, Any]:
    return {
        "recipe": "interactions",
        "name": "small",
        "root": str(tables),
        "output": str(output),
        "seed": 3,
        "interactions": {
            "table": {"path": "interactions.csv"},
            "member": "who",
            "item": "item id",
            "uid": "row id",
            "label": {"column": "stars", "at_least": 4},
            "timestamp": {"column": "when"},
            "features": [
                {"kind": "categorical", "source": "device", "min_count": 1},
                {"kind": "categorical", "source": "who", "name": "who.hashed", "buckets": 16},
            ],
        },
        "members": {
            "table": {"path": "members.csv"},
            "key": "the id",
            "features": [
                {"kind": "numeric", "source": "age.years", "name": "age"},
                {"kind": "categorical", "source": "city", "vocabulary": "place"},
                {"kind": "numeric", "source": "flag"},
                {"kind": "bag", "source": "likes", "separator": "|", "min_count": 1, "vocabulary": "tags"},
            ],
        },
        "items": {
            "table": {"path": "items.csv"},
            "key": "item id",
            "features": [
                {"kind": "bag", "source": "tags", "separator": "|", "min_count": 1},
                {"kind": "numeric", "source": "price", "transform": "quantile", "knots": 5},
                {"kind": "numeric", "source": "since", "missing": "always"},
                {"kind": "categorical", "source": "town", "vocabulary": "place"},
            ],
        },
        "history": {"attributes": [{"column": "tags", "separator": "|", "name": "tag"}], "signals": ["stars"]},
        "shard_rows": 100,
    }
