"""Run in a process of its own: loads a logged model where only its requirements can be imported, and scores rows.

python lean.py TRACKING_URI MODEL_URI REQUIREMENTS.txt ROWS.json OUT.json
"""

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path


def closure(names: list[str]) -> set[str]:
    """Distributions that are installed when these are: their requirements, and theirs."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        todo += [re.split(r"[\s;<>=!~\[(]", text)[0] for text in requires if "extra ==" not in text]
    return found


class Refuse:
    """Makes everything that is not in the closure impossible to import, this project's installed copy included."""

    def __init__(self, allowed: set[str]) -> None:
        self._refused = {
            module
            for module, owners in packages_distributions().items()
            if not any(re.sub(r"[-_.]+", "-", owner).lower() in allowed for owner in owners)
        } - {"glmix_automl"}

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in self._refused:
            raise ModuleNotFoundError(f"No module named {name!r}: not among the model's requirements")


def main(tracking: str, model: str, requirements: str, rows: str, out: str) -> None:
    needs = Path(requirements).read_text().splitlines()
    allowed = closure([re.split(r"[=<>]", line)[0] for line in needs if line.strip()])
    # The project's own finder would find the working copy; the model brings its code.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
    sys.meta_path.insert(0, Refuse(allowed))  # type: ignore[arg-type]
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(tracking)
    predicted = mlflow.pyfunc.load_model(model).predict(pd.read_json(rows, orient="records"))
    predicted.to_json(out, orient="records", double_precision=15)
    import glmix_automl

    heavy = [name for name in ("pyspark", "horovod") if name in sys.modules]
    print(json.dumps({"code": glmix_automl.__file__, "heavy": heavy}))


if __name__ == "__main__":
    main(*sys.argv[1:])
