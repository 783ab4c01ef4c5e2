"""`glmix-automl init`: from tables to a recipe without writing YAML; what the tables do not say is asked for."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.cli import main
from glmix_automl.layout import LEADERBOARD_CSV, SCHEMA
from glmix_automl.prepare.graph import Graph
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.pipeline import load_recipe, prepare_dataset
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, RandomSplit, TimeSplit
from glmix_automl.schema import Schema


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, head: list[str], rows: list[list[Any]], separator: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows([head, *rows] if head else rows)


def shop(folder: Path, separator: str = ";") -> None:
    """A shop's export: visits with a rating in words and a date, customers, products; every id is a number from 1."""
    random = np.random.default_rng(0)
    visits = [
        [
            n,
            1 + int(random.integers(80)),
            1 + int(random.integers(50)),
            ["no", "bought"][n % 3 == 0],
            20_240_101 + n % 28,
        ]
        for n in range(900)
    ]
    write(folder / "visits.csv", ["visit_id", "customer", "product", "outcome", "day"], visits, separator)
    customers = [[c, 18 + c % 50, ["N", "S", "W"][c % 3], f"Name {c}", "x"] for c in range(1, 81)]
    write(folder / "customers.csv", ["nr", "age", "region", "name", "same"], customers, separator)
    products = [[p, p * p * 10, ["N", "S"][p % 2], "|".join(["a", "b", "c"][: 1 + p % 3])] for p in range(1, 51)]
    write(folder / "products.csv", ["nr", "price", "region", "label"], products, separator)


def init(*words: str) -> int:
    return main(["init", *words, "--overwrite"])


def test_three_files_become_a_recipe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop(folder)
    names = ["visits.csv", "customers.csv", "products.csv", "--name", "shop"]
    assert init(*names) == 2
    assert (
        "which column of visits.csv is the response? Add --target COLUMN, or --all-positive if every row is one; its "
        "columns: visit_id" in capsys.readouterr().err
    )
    assert init(*names, "--target", "outcome") == 2
    assert (
        "which value of 'outcome' is a positive response? Add --positive VALUE; it has bought, no"
        in capsys.readouterr().err
    )
    assert init(*names, "--target", "outcome", "--positive", "bought") == 0
    recipe = load_recipe("shop.yaml")
    assert isinstance(recipe, Interactions)
    assert recipe.members is not None
    assert recipe.items is not None
    events = recipe.interactions
    assert (events.member, events.item, events.uid, events.table.separator) == ("customer", "product", "visit_id", ";")
    assert (events.label.column, events.label.positive) == ("outcome", ("bought",))
    assert events.timestamp is not None
    assert events.timestamp.column == "day"
    assert isinstance(recipe.split, TimeSplit)
    assert {f.source: f.kind for f in recipe.members.features} == {"age": "numeric", "region": "categorical"}
    assert {f.source: f.kind for f in recipe.items.features} == {
        "price": "numeric", "item_region": "categorical", "label_id": "bag",
    }  # fmt: skip
    tags = recipe.items.features[2]
    assert isinstance(tags, BagFeature)
    assert tags.separator == "|"
    region = recipe.members.features[1]
    assert isinstance(region, CategoricalFeature)
    assert region.vocabulary == "region"
    text = Path("shop.yaml").read_text()
    assert "# name is left out: nearly every row has a text of its own (80 different texts)" in text
    assert "# same is left out: one value only" in text
    from glmix_automl import config
    from glmix_automl.study.settings import SearchSettings

    assert config.load("shop-search.yaml", SearchSettings).dataset == "shop-dataset"


def test_columns_with_the_same_terms_share_a_vocabulary_whatever_their_names(folder: Path) -> None:
    """A shop of 12 towns and 9 kinds of things: customers have a home and what they like, products a town and kinds."""
    random = np.random.default_rng(0)
    visits = [[n, 1 + int(random.integers(80)), 1 + int(random.integers(50)), n % 3 == 0] for n in range(900)]
    write(folder / "visits.csv", ["visit_id", "customer", "product", "bought"], visits)
    kinds = [f"kind {k}" for k in range(9)]
    customers = [
        [c, f"town {c % 12}", f"town {c * 5 % 12}", "|".join(kinds[c % 9 :]), ["yes", "no"][c % 2], f"code {c % 7}"]
        for c in range(1, 81)
    ]
    write(folder / "customers.csv", ["nr", "home", "work", "likes", "adult", "town"], customers)
    products = [[p, f"town {p % 10}", kinds[p % 9], ["yes", "no"][p % 3 == 0]] for p in range(1, 51)]
    write(folder / "products.csv", ["nr", "town", "kind", "imported"], products)
    assert init("visits.csv", "customers.csv", "products.csv", "--name", "shop", "--target", "bought") == 0
    recipe = load_recipe("shop.yaml")
    assert isinstance(recipe, Interactions)
    assert recipe.members is not None
    assert recipe.items is not None
    terms = [f for table in (recipe.members, recipe.items) for f in table.features if f.kind != "numeric"]
    # The customers' own `town` is something else, so the name is not the vocabulary's.
    assert {f.column: f.vocabulary for f in terms} == {
        "home": "home_town", "work": "home_town", "item_town": "home_town", "likes": "kind", "kind": "kind",
        "adult": None, "imported": None, "town": None,
    }  # fmt: skip
    prepare_dataset(None, recipe)
    schema = Schema.model_validate_json(Path("shop-dataset", SCHEMA).read_text())
    assert [m.name for m in schema.matches] == [
        "same_home_item_town",
        "same_work_item_town",
        "shared_kind_count",
    ]


def test_without_a_time_the_split_is_random_and_nothing_is_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "likes.csv", ["user", "film", "liked"], LIKES)
    assert init("likes.csv", "--name", "likes") == 0
    recipe = load_recipe("likes.yaml")
    assert isinstance(recipe, Interactions)
    assert isinstance(recipe.split, RandomSplit)
    assert main(["init", "likes.csv", "--name", "likes"]) == 2
    assert "likes.yaml, likes-search.yaml: there already" in capsys.readouterr().err
    write(folder / "bare.csv", [], LIKES)
    assert init("bare.csv") == 2
    assert (
        "which column of bare.csv names the member? Add --member COLUMN; its columns: c1 (30 whole"
        in capsys.readouterr().err
    )
    assert init("bare.csv", "--member", "c1", "--item", "c2", "--name", "bare") == 0
    assert load_recipe("bare.yaml").interactions.table.columns == ("c1", "c2", "c3")  # type: ignore[attr-defined]


def test_views_become_a_recipe_that_draws_negatives(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    views = [[f"u{random.integers(40)}", f"f{random.integers(60)}", 1_600_000_000 + n * 997] for n in range(900)]
    write(folder / "views.csv", ["user", "film", "seen_at"], views)
    write(folder / "films.csv", ["film", "genre"], [[f"f{n}", f"g{n % 5}"] for n in range(60)])
    assert init("views.csv", "films.csv", "--name", "views") == 2
    assert "--all-positive if every row is one" in capsys.readouterr().err
    assert init("views.csv", "films.csv", "--name", "views", "--all-positive") == 0
    recipe = load_recipe(folder / "views.yaml")
    assert isinstance(recipe, Interactions)
    assert recipe.interactions.label is None
    assert recipe.interactions.sampled_negatives is not None
    assert main(["prepare", "views.yaml"]) == 0
    assert "negatives drawn" in (folder / "views-dataset" / "data_report.json").read_text()


def test_two_columns_of_one_kind_of_ids_are_a_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    links = [[int(a), int(b)] for a, b in random.integers(0, 60, (300, 2)) if a != b]
    (folder / "links.txt").write_text("# a network\n# from\tto\n" + "".join(f"{a}\t{b}\n" for a, b in links))
    with gzip.open("groups.json.gz", "wt") as file:
        json.dump({str(n): [n % 5, 7] for n in range(60)}, file)
    write(folder / "nodes.csv", ["node", "team", "label"], [[n, n % 4, n / 7] for n in range(60)])
    assert init("links.txt", "groups.json.gz", "nodes.csv", "--name", "net") == 0
    recipe = load_recipe("net.yaml")
    assert isinstance(recipe, Graph)
    assert (recipe.edges.source, recipe.edges.target) == ("c1", "c2")
    assert (recipe.edges.table.comment, recipe.edges.table.separator) == ("#", "\t")
    assert [table.lists for table in recipe.nodes] == ["attributes", None]
    assert {f.source: f.kind for f in recipe.nodes[1].features} == {"team": "categorical", "label": "numeric"}
    write(folder / "strangers.csv", ["who", "age"], [[f"x{n}", n + 900] for n in range(60)])
    assert init("links.txt", "strangers.csv", "--target", "c2") == 2
    assert "strangers.csv: no column with an id of its own in every row" in capsys.readouterr().err


LIKES: list[list[Any]] = [[u, 1000 + (u * f) % 37, (u + f) % 2] for u in range(30) for f in range(9)]
RACE = ["--set", "limits.seconds=60"]
RACED = {"logistic regression", "trees", "bayes", "adanet", "all"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_files_of_a_shop_get_to_a_leaderboard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop(folder, separator=",")
    assert (
        init(
            "visits.csv", "customers.csv", "products.csv", "--target", "outcome", "--positive", "bought", "--name", "s"
        )
        == 0
    )
    assert main(["prepare", "s.yaml", "--explain"]) == 0
    assert "yyyyMMdd" in capsys.readouterr().out
    assert main(["search", "s-search.yaml", *RACE]) == 0
    assert "adanet" in capsys.readouterr().out


def ml_100k(data: Path) -> list[str]:
    return [*(str(data / "ml-100k" / name) for name in ("u.data", "u.user", "u.item")), "--target", "c3"]


def github(data: Path) -> list[str]:
    return [str(data / "github-social" / name) for name in ("edges.csv.gz", "features.json.gz", "target.csv.gz")]


def jymbii(folder: Path) -> list[str]:
    assert main(["generate", "jymbii", "--rows", "20000", "--output", str(folder)]) == 0
    return [str(folder / f"{name}.parquet") for name in ("interactions", "members", "items")]


def pymk(folder: Path) -> list[str]:
    assert main(["generate", "pymk", "--rows", "20000", "--output", str(folder)]) == 0
    return [str(folder / f"{name}.parquet") for name in ("edges", "nodes")]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tables", [jymbii, pymk])
def test_generated_tables_get_to_a_leaderboard(folder: Path, tables: Callable[[Path], list[str]]) -> None:
    board = race(folder, tables(folder / "raw"))
    assert set(board) == RACED
    assert min(board.values()) > 0.55


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tables", [ml_100k, github])
def test_public_data_gets_to_a_leaderboard(folder: Path, real_data: Path, tables: Callable[[Path], list[str]]) -> None:
    board = race(folder, tables(real_data))
    assert set(board) == RACED
    assert min(board.values()) > 0.7


def race(folder: Path, tables: list[str]) -> dict[str, float]:
    """From tables to a leaderboard: validation AUC by entry."""
    assert init(*tables, "--name", "raced") == 0
    assert main(["prepare", "raced.yaml"]) == 0
    assert main(["search", "raced-search.yaml", *RACE]) == 0
    board = csv.DictReader((folder / "raced-study" / LEADERBOARD_CSV).open())
    return {row["entry"]: float(row["validation_auc"]) for row in board}
