"""Configurations of nights over generated tables, for tests and benchmarks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
ALONE = {"workers": {"place": "in_process", "slots": 1}}  # of a search: one trial after the other, no process started


def configure(
    folder: Path,
    race: Mapping[str, Any],
    name: str = "nightly",
    search: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Path:
    """Writes <folder>/<name>.yaml of nights in <folder>/nights, over the tables that lie in <folder>/tables/{date}.

    Args:
        folder: where all of it lies.
        race: of the nights that search.
        name: of the configuration.
        search: more keys of the search file.
        overrides: of the night; of the recipe, beside where the tables lie.
        settings: more keys of the night.
    """
    places = {"dataset": "given by the night", "study": "given by the night"}
    raced = _written(folder / f"{name}-search.yaml", {**places, "race": race, **(search or {})})
    laid = dict(overrides or {})
    night = {
        "recipe": str(ROOT / "conf" / "prepare" / "generated-jymbii.yaml"),
        "search": str(raced),
        "home": str(folder / "nights"),
        "name": "suggestions",
        "overrides": {**laid, "recipe": {"root": str(folder / "tables" / "{date}"), **laid.get("recipe", {})}},
    }
    return _written(folder / f"{name}.yaml", night | settings)


def _written(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)))
    return path
