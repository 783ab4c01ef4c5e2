"""What a person sees of a preparation under way."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from glmix_automl.prepare.engine import Local
from glmix_automl.prepare.progress import StepProgress


def test_a_line_per_step_where_there_is_no_terminal() -> None:
    said = io.StringIO()
    with StepProgress(True, Console(file=said, width=80)) as progress:
        progress.rows = 1_000
        engine = Local(progress, threads=2)
        assert engine.each("reading", str, [1, 2, 3]) == ["1", "2", "3"]
        engine.each("reading", str, [4])
        engine.each("shards", str, [])
    lines = said.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["reading", "shards"]
    assert lines[0].endswith("s (1,000 rows)")


def test_one_bar_on_a_terminal_that_only_grows() -> None:
    said = io.StringIO()
    with StepProgress(True, Console(file=said, force_terminal=True, width=100)) as progress:
        engine, seen = Local(progress, threads=1), []
        for step in ("reading", "statistics", "reading", "shards"):
            engine.each(step, str, [1, 2])
            assert progress._bar is not None
            seen.append(progress._bar.tasks[0].completed)
        assert len(progress._bar.tasks) == 1  # type: ignore[union-attr]
    assert seen == sorted(seen)
    assert seen[0] < seen[1] == seen[2] < seen[3]
    assert "shards" in said.getvalue()


@pytest.mark.spark
def test_the_bar_moves_while_a_job_of_spark_runs(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from glmix_automl.prepare import engine

    monkeypatch.setattr(engine, "_SECONDS", 0.05)
    seen = []
    with StepProgress(True, Console(file=io.StringIO(), force_terminal=True, width=100)) as progress:
        monkeypatch.setattr(progress, "at", lambda name, share: seen.append((name, share)))
        spark.sparkContext.setJobGroup("mine", "what a person calls it")
        made = engine.OnSpark(spark, progress).each("shards", _slowly, list(range(6)))
    assert made == list(range(6))
    assert any(0 < share < 1 for _, share in seen[:-6]), "before the job had ended"
    assert {name for name, _ in seen} == {"shards"}
    assert spark.sparkContext.getLocalProperty("spark.jobGroup.id") == "mine"


def _slowly(item: int) -> int:
    time.sleep(0.2)
    return item


def test_a_step_ends_with_the_first_failure() -> None:
    def fail(item: int) -> int:
        raise ValueError(f"no {item}")

    for threads in (1, 2):
        with pytest.raises(ValueError, match="no 1"):
            Local(StepProgress(), threads).each("reading", fail, [1, 2, 3])
