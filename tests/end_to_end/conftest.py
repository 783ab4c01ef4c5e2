"""One real study, run once for all tests here: real Horovod workers, real MLflow, by the command line."""

import os
import subprocess
import sys

import pytest
import yaml

from glmix_automl.api import Study
from tests.dataset_maker import make_dataset, write_raw

ODD = "net (l2=1), MAP@k [a/b]"  # the name of an entry, which MLflow does not take as it is
CONFIGURATION = {
    "seed": 1,
    "prefer": "best",
    "workers": {"place": "local", "slots": 2},
    "race": {
        ODD: {"strategy": "fixed", "family": "logistic", "epochs": 3},
        "grid": {
            "strategy": "grid",
            "family": "subnetwork",
            "epochs": 1,
            "space": {"depth": {"choice": [1, 2]}, "learning_rate": {"choice": [0.001, 0.005]}},
        },
        "growth": {
            "strategy": "adanet",
            "candidates": 2,
            "generator": {
                "kind": "pool",
                "candidates": [
                    {
                        "family": "subnetwork",
                        "parameters": {"learning_rate": 0.005},
                        "epochs": 2,
                        "until": 1,
                        "alone": True,
                    },
                    {"family": "trees", "parameters": {"trees": 60, "leaves": 8}},
                ],
            },
        },
        "broken": {"strategy": "fixed", "family": "mixture"},
    },
}


def command(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs `glmix-automl` in a process of its own, with further variables of its environment."""
    environment = os.environ | {"COLUMNS": "200"} | variables
    return subprocess.run(
        [sys.executable, "-m", "glmix_automl.cli", *words], capture_output=True, text=True, timeout=280, env=environment
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, str]:
    """A finished study and what the command printed."""
    folder = tmp_path_factory.mktemp("end_to_end")
    make_dataset(folder / "dataset", rows=4000)
    write_raw(folder / "dataset")
    settings = CONFIGURATION | {"dataset": str(folder / "dataset"), "study": str(folder / "study")}
    (folder / "search.yaml").write_text(yaml.safe_dump(settings))
    temporary = folder / "temporary"
    temporary.mkdir()
    done = command("search", str(folder / "search.yaml"), TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "libraries have no say on the terminal"
    assert not list(temporary.iterdir()), "nothing is left on the machine but the study"
    return Study.open(folder / "study"), done.stdout
