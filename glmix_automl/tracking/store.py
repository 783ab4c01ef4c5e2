"""Where MLflow keeps what it shows, if nobody says otherwise: beside the study's folder, and moved with it."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil

from glmix_automl.errors import DataError
from glmix_automl.layout import Folder
from glmix_automl.study.folder import StudyFolder

_DATABASE = "mlflow.db"
_ARTIFACTS = "mlartifacts"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns in which MLflow keeps whole paths of artefacts; it knows no relative ones."""


def default_uri(folder: StudyFolder) -> str:
    """SQLite beside the study's folder, so that studies in one folder are compared in one UI."""
    return f"sqlite:///{folder.path.parent / _DATABASE}"


def default_artifacts(folder: StudyFolder) -> Path:
    """Where the default store keeps artefacts."""
    return folder.path.parent / _ARTIFACTS


def make_whole(uri: str) -> None:
    """Makes the database of an SQLite store, where there is none yet, whole or not at all.

    MLflow itself makes old tables and changes them in place, a revision after the other: killed or out of room
    meanwhile, it leaves a database that it can neither use nor finish. Its five seconds for that are taken once: an
    empty database is kept in the user's cache, for every later one to be a copy of.
    """
    if not uri.startswith("sqlite:"):
        return
    path = Path(urlsplit(uri).path.removeprefix("/"))
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by those who were killed over it
        if not psutil.pid_exists(int(left.name.split(".")[-2])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.{os.getpid()}.", dir=path.parent) as place:
        made, kept = Path(place) / path.name, _empty_database()
        if kept is not None and kept.is_file():
            shutil.copyfile(kept, made)
        else:
            from mlflow import MlflowClient

            MlflowClient(f"sqlite:///{made}", f"sqlite:///{made}").search_experiments(max_results=1)
            if kept is not None:
                with contextlib.suppress(DataError):  # no room, or nobody may write there
                    Folder(str(kept.parent)).write(kept.name, made.read_bytes())
        with contextlib.suppress(FileExistsError):  # somebody else was sooner
            os.link(made, path)


def _empty_database() -> Path | None:
    """Where this version of MLflow's empty database is kept; nowhere for a user without a home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "glmix-automl" / f"mlflow-{version('mlflow')}.db"


def settle(folder: StudyFolder) -> None:
    """Has the default store, moved or copied, name the artefacts beside it: what is logged from here would lie at the
    place before, or in the original, and what was logged would not be found.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    database, here = folder.path.parent / _DATABASE, default_artifacts(folder)
    if not database.is_file():
        return
    with contextlib.closing(sqlite3.connect(database, timeout=10.0)) as store, store:
        there = [place for place in _PLACES if _has(store, *place)]
        if _PLACES[0] not in there:  # somebody is making it
            return
        for before in _named(store) - {here.as_uri()}:
            if not here.is_dir() and Path(url2pathname(urlsplit(before).path)).is_dir():
                continue  # they were left where they are
            for table, column in there:
                store.execute(
                    f"UPDATE {table} SET {column} = :here || substr({column}, length(:before) + 1) "
                    f"WHERE {column} = :before OR substr({column}, 1, length(:before) + 1) = :before || '/'",
                    {"here": here.as_uri(), "before": before},
                )


def _has(store: sqlite3.Connection, table: str, column: str) -> bool:
    return any(name == column for _, name, *_ in store.execute(f"PRAGMA table_info({table})"))


def _named(store: sqlite3.Connection) -> set[str]:
    """Places of artefacts, as the default store names them, that experiments lie at."""
    found = set()
    for (place,) in store.execute("SELECT artifact_location FROM experiments"):
        above, name, below = (place or "").partition(f"/{_ARTIFACTS}")
        if above.startswith("file:") and name and below[:1] in ("", "/"):
            found.add(above + name)
    return found
