"""The packed environment is a copy, whole and movable; what it would have to take from elsewhere is refused.

`.venv/bin/spark-submit` works from a bare shell.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spark_cluster import standalone

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = {"PATH": "/usr/bin:/bin"}

TASK = """
import json, sys
from pyspark.sql import SparkSession

def world(_):
    import glmix_automl, horovod.tensorflow as hvd, tensorflow as tf
    from importlib.metadata import distributions
    hvd.init()
    total = float(hvd.allreduce(tf.constant(3.0), op=hvd.Sum))
    names = sorted(each.name for each in distributions())
    return [[sys.prefix, glmix_automl.__file__, total, names]]

spark = SparkSession.builder.config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1").getOrCreate()
print("FOUND", json.dumps([sys.prefix, *spark.sparkContext.parallelize([0], 1).mapPartitions(world).collect()]))
spark.stop()
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what packing reads, without an environment."""
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout" / "scripts")
    (tmp_path / "checkout" / "dist").mkdir()
    return tmp_path / "checkout"


def packed(checkout: Path) -> "subprocess.CompletedProcess[str]":
    command = ["bash", "scripts/spark_environment.sh"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, env=BARE)


def _no_environment(folder: Path) -> None:
    shutil.rmtree(folder)


def _other_packages(folder: Path) -> None:
    settings = folder / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("packages = false", "packages = true"))


def _linked_packages(folder: Path) -> None:
    shutil.move(folder / "lib", folder.parent / "elsewhere")
    (folder / "lib").symlink_to(folder.parent / "elsewhere")


def _linked_file(folder: Path) -> None:
    (folder / "lib" / "cached.py").symlink_to(folder.parent / "cache" / "cached.py")


def _linked_within_by_its_whole_path(folder: Path) -> None:
    (folder / "more").symlink_to(folder / "lib")


def _of_another_place(folder: Path) -> None:
    """Its Python is a script that starts that of another environment, whose packages it so has."""
    other = folder.parent / "other"
    shutil.copytree(folder, other, symlinks=True)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {other}/bin/python "$@"\n')
    (folder / "bin" / "python").chmod(0o755)


def _settings_removed(folder: Path) -> None:
    (folder / "pyvenv.cfg").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_environment, "there is no .venv here: make setup"),
        (_settings_removed, "is no virtual environment, it has no pyvenv.cfg"),
        (_other_packages, "uses packages outside itself"),
        (_linked_packages, "/environment/lib is a link to "),
        (_linked_file, "/environment/lib/cached.py is a link to "),
        (_linked_within_by_its_whole_path, "/environment/more is a link to "),
        (_of_another_place, "belongs to "),
    ],
)
def test_an_environment_whose_parts_lie_elsewhere_is_refused_untouched(
    checkout: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = checkout.parent / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    (checkout / ".venv").symlink_to(folder)
    change(folder)
    before = contents(checkout.parent)
    ran = packed(checkout)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert ran.stderr.startswith("spark-environment: ")
    assert said in ran.stderr
    assert contents(checkout.parent) == before


def contents(folder: Path) -> dict[str, int]:
    """Every path under a folder, and its size."""
    found = (Path(at, name) for at, folders, files in os.walk(folder) for name in (*folders, *files))
    return {str(path): path.lstat().st_size for path in found if "__pycache__" not in path.parts}


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.horovod
@pytest.mark.timeout(900)
def test_this_environment_packed_through_a_link_runs_on_executors_and_is_not_touched(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(sys.prefix)
    wheel = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    source = checkout.parent / "source"  # building writes beside what it reads
    shutil.copytree(ROOT / "glmix_automl", source / "glmix_automl")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, *wheel, "--wheel-dir", checkout / "dist", source], check=True)
    before = contents(Path(sys.prefix))
    ran = packed(checkout)
    assert ran.returncode == 0, ran.stderr
    assert contents(Path(sys.prefix)) == before

    archive = checkout / "dist" / "glmix-automl-environment.tar.gz"
    options = ["--archives", f"{archive}#environment", "--conf", "spark.pyspark.python=./environment/bin/python"]
    options += ["--conf", f"spark.pyspark.driver.python={checkout.parent}/environment/bin/python"]
    folder = checkout.parent / "cluster"
    with standalone(folder, workers=1) as cluster:
        driver, (prefix, package, total, names) = submitted(checkout.parent, "--master", cluster.master, *options)
    assert driver == str(checkout.parent / "environment")
    assert Path(prefix).is_relative_to(folder), "where the executor unpacked it"
    assert Path(package).is_relative_to(prefix)
    assert total == 3.0
    assert {"tensorflow", "horovod", "pyspark", "glmix-automl"} <= {name.lower() for name in names}
    assert not {"pytest", "mypy", "ruff", "duckdb", "polars", "cmake", "pip"} & {name.lower() for name in names}


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.horovod
def test_spark_submit_works_from_a_bare_shell(tmp_path: Path) -> None:
    driver, (prefix, _, total, _) = submitted(tmp_path, "--master", "local[1]")
    assert driver == prefix
    assert (prefix, total) == (str(tmp_path / "environment"), 3.0)


def submitted(folder: Path, *options: str) -> list:
    """What `TASK` finds under the `spark-submit` that the set-up writes, with neither PATH nor Java of this shell.

    The environment is one beside this one with the same packages, so that nothing is written into this one.
    """
    bin_ = folder / "environment" / "bin"
    bin_.mkdir(parents=True)
    (folder / "environment" / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder / "environment")
    (bin_ / "python").symlink_to(Path(sys.executable).resolve())
    script = (ROOT / "scripts" / "spark_submit.sh").read_text()
    java = Path(str(shutil.which("java"))).resolve().parent.parent
    (bin_ / "spark-submit").write_text(script.replace("@JAVA_HOME@", str(java)))
    (bin_ / "spark-submit").chmod(0o755)
    (folder / "task.py").write_text(TASK)
    tools = folder / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "readlink", "env", "ps", "sed", "uname", "id", "getent", "tar", "gzip", "rm"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    command = [str(bin_ / "spark-submit"), *options, str(folder / "task.py")]
    ran = subprocess.run(
        command, cwd=folder, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    found = next(line for line in ran.stdout.splitlines() if line.startswith("FOUND "))
    told: list = json.loads(found.removeprefix("FOUND "))
    return told
