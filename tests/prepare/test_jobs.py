"""The same preparation under spark-submit: in local mode and on a standalone cluster of two workers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from glmix_automl.config import parse
from glmix_automl.manifest import Manifest
from tests.spark_cluster import submitted

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]


def test_submitted_runs_give_the_same_digests_as_the_session_here(
    spark: Any, settings: dict[str, Any], tmp_path: Path, cluster: str
) -> None:
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.pipeline import prepare_dataset

    here = prepare_dataset(spark, parse(settings, Interactions, "test"))
    conf = tmp_path / "recipe.yaml"
    conf.write_text(yaml.safe_dump(settings))
    for master in ("local[1]", cluster):
        output = tmp_path / master.partition("[")[0].partition(":")[0]
        done = submitted(master, "prepare.py", str(conf), "--set", f"output={output}")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        assert here.digest in done.stdout
        assert Manifest.model_validate_json((output / "manifest.json").read_text()) == here
    words = ["--set", "interactions.member=nobody", "--set", f"output={tmp_path / 'no'}"]
    refused = submitted("local[1]", "prepare.py", str(conf), *words)
    assert refused.returncode == 1
    # spark-submit passes all that its Python process writes to its own standard output
    assert refused.stdout.rstrip().splitlines()[-1].startswith("glmix-automl prepare: interactions table ")
