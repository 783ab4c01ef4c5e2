"""The same preparation under spark-submit: in local mode and on a standalone cluster of two workers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from glmix_automl.manifest import Manifest
from tests.prepare.test_graph import in_parts, write_in_parts
from tests.spark_cluster import submitted

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]


def test_submitted_runs_give_the_same_digests_as_threads_here(
    settings: dict[str, Any], tmp_path: Path, cluster: str
) -> None:
    check(settings, tmp_path, ("local[1]", cluster))
    words = ["--set", "interactions.member=nobody", "--set", f"output={tmp_path / 'no'}"]
    refused = submitted("local[1]", "prepare.py", str(tmp_path / "recipe.yaml"), *words)
    assert refused.returncode == 1
    # spark-submit passes all that its Python process writes to its own standard output
    assert refused.stdout.rstrip().splitlines()[-1].startswith("glmix-automl prepare: interactions table ")


def test_a_network_is_the_same_on_a_cluster(tmp_path: Path, cluster: str) -> None:
    write_in_parts(tmp_path)
    check(in_parts(tmp_path).model_dump(mode="json"), tmp_path, (cluster,))


def check(settings: dict[str, Any], folder: Path, masters: tuple[str, ...]) -> None:
    """Whether masters make the dataset that threads of this process make."""
    from glmix_automl.prepare.pipeline import load_recipe, prepare_dataset

    here = prepare_dataset(None, load_recipe(settings))
    conf = folder / "recipe.yaml"
    conf.write_text(yaml.safe_dump(settings))
    for master in masters:
        output = folder / master.partition("[")[0].partition(":")[0]
        done = submitted(master, "prepare.py", str(conf), "--set", f"output={output}")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        assert here.digest in done.stdout
        assert Manifest.model_validate_json((output / "manifest.json").read_text()) == here
