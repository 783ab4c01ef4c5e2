"""Names that MLflow takes, and addresses of its pages."""

import hashlib
import re

VIEW = "glmix"  # key of the saved view of the list of runs
NAME_CHARACTERS = 250  # MLflow's limit
_REFUSED = re.compile(r"[^\w.\-/ :]|(?<=\.)\.|^[./]|/(?=/|$|\.)")


def fit(name: str) -> str:
    """A name of a parameter or metric that MLflow takes; where it had to change, a few digits keep names apart."""
    found = _REFUSED.sub("_", name) or "_"
    if found == name and len(found) <= NAME_CHARACTERS:
        return found
    digits = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{found[: NAME_CHARACTERS - len(digits) - 1]}-{digits}"


# Else a new browser shows the pages of MLflow 3 for generative AI.
_TRAINING = "workflowType=machine_learning"


def run_page(server: str, experiment: str, run: str) -> str:
    """Where MLflow's UI shows a run."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run}?{_TRAINING}"


def runs_page(server: str, experiment: str) -> str:
    """Where it shows the runs of an experiment, with columns chosen."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs?{_TRAINING}&viewStateShareKey={VIEW}"
