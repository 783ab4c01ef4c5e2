"""Trained studies of both recipes, shared by the tests of what is done with their models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glmix_automl.api import Study
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.layout import RAW
from glmix_automl.prepare import pipeline
from glmix_automl.serving.export import export
from glmix_automl.serving.scoring import score
from glmix_automl.serving.settings import ScoreSettings
from tests.prepare.conftest import interactions, write_interactions
from tests.prepare.test_graph import hidden_links, network
from tests.prepare.test_graph import recipe as graph_recipe
from tests.prepare.test_graph import write as write_graph

TRIALS: list[dict[str, Any]] = [
    {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}},
    {"family": "subnetwork", "parameters": {"depth": 1, "width": 8}},
    {"family": "cross"},
    {"family": "factorisation"},
    {"family": "trees", "parameters": {"trees": 5}},
    {"family": "random_effect", "parameters": {"features": "*"}},
]


@dataclass
class Trained:
    """A study with a trial of each family, and what its test rows are made of again."""

    study: Study
    dataset: Dataset
    settings: dict[str, Any]
    uids: Any
    """Of the scored table: [rows]."""

    def model(self, number: int) -> str:
        """The folder of the model of one trial."""
        target = self.study.folder.files.within(f"models/{number}")
        export(self.study.folder.files, Ensemble.of(number), self.dataset.schema, target, {}, self.dataset.folder)
        return target.path()

    def trained(self, number: int, uids: Any) -> np.ndarray:
        """The scores of test rows in training, by uid."""
        scores = np.load(self.study.folder.path / f"trials/{number}/scores-test.npy")
        return pd.Series(scores, self.dataset.column("test", "uid")).loc[uids].to_numpy()

    def score(self, output: Path, number: int, **more: Any) -> pd.DataFrame:
        """What a scoring file gives."""
        given = self.settings | {"model": self.model(number), "output": str(output), **more}
        self.found = score(ScoreSettings.model_validate(given))
        scored = pd.read_parquet(output)
        if "left" in scored:
            scored["uid"] = scored.left + "|" + scored.right
        scored = scored.rename(columns={"row id": "uid"})
        return scored.set_index("uid") if "uid" in scored else scored


def train(dataset: str, folder: Path, trials: Sequence[dict[str, Any]] = TRIALS) -> Study:
    """A study of these trials, run to its end."""
    race = {"families": {"strategy": "fixed", "epochs": 1, "trials": list(trials)}}
    workers = {"place": "in_process", "slots": 1}
    content = {"dataset": dataset, "study": str(folder), "workers": workers, "tracking": {"enabled": False}}
    return Study(content | {"race": race}).run()


def of_interactions(folder: Path) -> Trained:
    """Members, items and interactions, prepared without Spark."""
    tables = write_interactions(folder)
    recipe = pipeline.load_recipe(interactions(tables, folder / "dataset") | {"engine": "local"})
    pipeline.prepare_dataset(None, recipe)
    dataset = Dataset.open(str(folder / "dataset"))
    uids = dataset.column("test", "uid")
    raw = pd.read_csv(tables / "interactions.csv", dtype=str).set_index("row id").loc[uids].drop(columns="stars")
    raw.reset_index(names="row id").to_csv(folder / "rows.csv", index=False)
    settings = {"kind": "interactions", "rows": {"path": str(folder / "rows.csv")}, "history": "given"}
    return Trained(train(str(folder / "dataset"), folder / "study"), dataset, settings, uids)


def of_graph(folder: Path) -> Trained:
    """A network, and the links that remain of it when some are hidden."""
    write_graph(folder, network())
    recipe = graph_recipe(folder, output=str(folder / "dataset"), engine="local")
    pipeline.prepare_dataset(None, recipe)
    dataset = Dataset.open(str(folder / "dataset"))
    # The network as it is now is what remained of it then.
    edges, gone = pd.read_csv(folder / "edges.csv"), hidden_links(recipe)
    ends = list(zip(edges["from"], edges["to"], strict=True))
    edges[[(a, b) not in gone and (b, a) not in gone for a, b in ends]].to_csv(folder / "now.csv", index=False)
    raw = pd.read_parquet(folder / "dataset" / RAW / "test")
    raw[["left", "right"]].to_csv(folder / "pairs.csv", index=False)
    settings = {"kind": "graph", "tables": {"edges": "now.csv"}, "rows": {"path": str(folder / "pairs.csv")}}
    return Trained(train(str(folder / "dataset"), folder / "study"), dataset, settings, raw.uid)
