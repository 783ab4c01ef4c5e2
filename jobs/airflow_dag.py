"""The night as an Airflow DAG: prepare, gate, search, promote, score, prune; written for Airflow 3.

Needs nothing of GLMix AutoML where it is parsed: every task runs `glmix-automl nightly ... --step STEP`, as a process
of the worker's (`place: local`) or through spark-submit (`place: spark`). What a step found, and whether a retry is
worth it, is read from the night's own record, since spark-submit hands on no exit code but zero or not.

Environment of the workers:
    GLMIX_HOME         checkout (or folder) with jobs/; what relative paths start from
    GLMIX_PYTHON       Python with the package, default GLMIX_HOME/.venv/bin/python
    GLMIX_SPARK_CONN   connection for `place: spark`, default spark_default
    GLMIX_SPARK_SUBMIT default the one beside that Python; the Spark provider brings neither it nor Java
    GLMIX_SPARK_CONF   more settings as JSON: {"spark.executor.memory": "4g"}
    GLMIX_ARCHIVES     archive of `make spark-environment` with `#environment`, for executors without the package
    GLMIX_SCHEDULE     cron, default 3 at night
    GLMIX_RETRY_SECONDS    first pause before a retry, default 60
    GLMIX_APPROVAL     1 asks a person before promotion
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

try:
    from airflow.sdk import DAG, Asset, AssetAlias, ObjectStoragePath, Param, chain
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 2
    from airflow.datasets import Dataset as Asset  # type: ignore[no-redef]
    from airflow.datasets import DatasetAlias as AssetAlias  # type: ignore[no-redef]
    from airflow.exceptions import AirflowFailException, AirflowSkipException  # type: ignore[no-redef]
    from airflow.io.path import ObjectStoragePath  # type: ignore[no-redef]
    from airflow.models.baseoperator import chain  # type: ignore[no-redef]
    from airflow.models.dag import DAG  # type: ignore[no-redef]
    from airflow.models.param import Param  # type: ignore[no-redef]
try:
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
except ImportError:
    from airflow.hooks.subprocess import SubprocessHook  # type: ignore[no-redef]

HOME = os.environ.get("GLMIX_HOME", str(Path.cwd()))
PYTHON = os.environ.get("GLMIX_PYTHON", f"{HOME}/.venv/bin/python")
SPARK_SUBMIT = os.environ.get("GLMIX_SPARK_SUBMIT", str(Path(PYTHON).parent / "spark-submit"))
ARCHIVES = os.environ.get("GLMIX_ARCHIVES")
STEPS = ("prepare", "gate", "search", "promote", "score", "prune")
KEY = (
    "{{ params.key or (dag_run.partition_key if dag_run.partition_key is defined and dag_run.partition_key else "
    "(data_interval_start | ds if data_interval_start else run_id | replace(':', '-') | replace('+', '-'))) }}"
)
SMALL = ("digest", "way", "reason", "validation_auc", "test_auc", "action", "name", "version", "rows", "run", "run_url")
CHANGES = AssetAlias("glmix_champion_changes")  # an outlet itself would have an event each night, changed or not


class NightStep(SparkSubmitOperator):
    """One step of a night. Fails without a retry where the record says that one is worth nothing; a step refused by the
    gate is skipped, and all that follow with it.
    """

    template_fields = (*SparkSubmitOperator.template_fields, "conf_file", "key", "home", "place", "budget")

    def __init__(self, *, step: str, **options: Any) -> None:
        self.step = step
        self.conf_file, self.key = "{{ params.conf }}", KEY
        self.home, self.place = "{{ params.home }}", "{{ params.place }}"
        self.budget = "{{ params.budget or '' }}"
        super().__init__(
            task_id=step,
            application=f"{HOME}/jobs/nightly.py",
            conn_id=os.environ.get("GLMIX_SPARK_CONN", "spark_default"),
            spark_binary=SPARK_SUBMIT,
            name=f"glmix-{step}",
            archives=ARCHIVES,
            conf={
                "spark.pyspark.driver.python": PYTHON,
                "spark.pyspark.python": "./environment/bin/python" if ARCHIVES else PYTHON,
                **json.loads(os.environ.get("GLMIX_SPARK_CONF", "{}")),
            },
            **options,
        )

    def words(self) -> list[str]:
        """What follows `nightly` on the command line."""
        words = [self.conf_file, "--key", self.key, "--step", self.step, "--json", "--set", f"home={self.home}"]
        if self.budget:
            words += ["--set", f"overrides.search.limits.seconds={self.budget}"]
        if self.place == "spark":
            words += ["--set", "overrides.search.workers.place=spark", "--set", "overrides.score.engine=spark"]
        return words

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the step, then reads what became of it."""
        problem: Exception | None = None
        before = self._record()
        try:
            if self.place == "local":
                self._run_here()
            else:
                self.application_args = self._application_args = self.words()
                super().execute(context)
        except AirflowException as error:
            problem = error
        found = self._record()
        if found is None or (problem is not None and found == before):  # killed before it could say anything
            raise problem or AirflowException(f"the step left no record in {self.home}/{self.key}/night.json")
        if found["state"] == "refused":
            self.log.error("%s", found["error"])
            raise AirflowSkipException(found["error"])
        if found["state"] == "failed":
            kind = AirflowException if found.get("retry", True) else AirflowFailException
            raise kind(found["error"])
        small = {name: value for name, value in found["found"].items() if name in SMALL}
        anew = found != before or context["ti"].try_number > 1  # else it was done under this key before
        if self.step == "promote" and found["found"]["action"] == "promoted" and anew:
            _announce(context, found["found"])
        return small

    def _run_here(self) -> None:
        command = [PYTHON, "-m", "glmix_automl.cli", "nightly", *self.words()]
        done = SubprocessHook().run_command(command, env=dict(os.environ), cwd=HOME)
        if done.exit_code not in (0, 3):
            raise AirflowException(f"exit code {done.exit_code}: {done.output}")

    def _record(self) -> dict[str, Any] | None:
        place = ObjectStoragePath(self.home if "://" in self.home else f"file://{self._absolute()}")
        path = place / self.key / "night.json"
        if not path.exists():
            return None
        steps: dict[str, Any] = json.loads(path.read_text())["steps"]
        return steps.get(self.step)

    def _absolute(self) -> str:
        return str(Path(HOME) / self.home)


def _announce(context: Any, found: dict[str, Any]) -> None:
    """Says on the asset `glmix://champion/NAME` which version is champion now, for DAGs that are scheduled on it."""
    extra = {"version": found["version"], "auc": found["candidate.auc"]}
    context["outlet_events"][CHANGES].add(Asset(f"glmix://champion/{found['name']}"), extra=extra)


def _retries(step: str) -> dict[str, Any]:
    """Back-off between retries, which resume; the search's time-out is above its own limit."""
    return {
        "retries": 0 if step == "gate" else 3,
        "retry_delay": timedelta(seconds=float(os.environ.get("GLMIX_RETRY_SECONDS", "60"))),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=6 if step == "search" else 2),
    }


def _approval() -> Any:
    """Asks a person in Airflow's UI (3.1 and later) before the alias may move; no answer, or no, skips what follows."""
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    return ApprovalOperator(
        task_id="approve",
        subject="May tonight's model become the champion, if it is better?",
        body="{{ ti.xcom_pull(task_ids='search') }}",
        defaults="Reject",
        response_timeout=timedelta(hours=12),
    )


with DAG(
    dag_id="glmix_nightly",
    description="Prepares today's data, finds a better model, promotes it only if it is better, scores every member",
    schedule=os.environ.get("GLMIX_SCHEDULE", "0 3 * * *"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "conf": Param("conf/nightly.yaml", type="string", title="Night's configuration", description="YAML file"),
        "home": Param("nights", type="string", title="Folder of the nights", description="Path or URI"),
        "place": Param("local", type="string", enum=["local", "spark"], title="Where the steps run"),
        "budget": Param(None, type=["null", "number"], minimum=1, title="Seconds of search", description="Wall clock"),
        "key": Param(None, type=["null", "string"], title="Key", description="Of the night; none: the interval's date"),
    },
    tags=["glmix-automl"],
    doc_md=__doc__,
) as dag:
    tasks = [NightStep(step=name, outlets=[CHANGES] if name == "promote" else [], **_retries(name)) for name in STEPS]
    if os.environ.get("GLMIX_APPROVAL") == "1":
        tasks.insert(STEPS.index("promote"), _approval())
    chain(*tasks)
