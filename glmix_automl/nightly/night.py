"""One night, step by step: each step is done once under the night's key, whoever calls it how often.

<home>/<key>/dataset, study, scores and night.json. A step that fails leaves its reason there, and whether a retry is
worth it; called again it goes on where it was: a study resumes, a dataset that is published is kept.
"""

import time
from collections.abc import Iterable
from typing import Any

from glmix_automl.errors import GateError, GlmixError
from glmix_automl.nightly import record
from glmix_automl.nightly.record import Night, Step, StepState
from glmix_automl.nightly.steps import STEPS
from glmix_automl.nightly.tonight import Tonight


def run(tonight: Tonight, steps: Iterable[str] = STEPS) -> None:
    """Does the steps that are not done.

    Raises:
        GlmixError: a step failed; the night's record says which and why.
    """
    for name in steps:
        if tonight.night.is_over(name):
            tonight.report(f"{name}: done already ({tonight.night.steps[name].at})")
        else:
            _do(tonight, name)


def summary(night: Night) -> dict[str, Any]:
    """A flat record of a night: key, and every number by `step.name`."""
    flat: dict[str, Any] = {"key": night.key}
    for name, step in night.steps.items():
        flat[f"{name}.state"] = step.state
        flat |= {f"{name}.{key}": value for key, value in step.found.items()}
    return flat


def _do(tonight: Tonight, name: str) -> None:
    started = time.monotonic()
    try:
        found = STEPS[name](tonight)
    except BaseException as error:
        state: StepState = "refused" if isinstance(error, GateError) else "failed"
        known = isinstance(error, GlmixError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        retry = not (isinstance(error, GlmixError) and error.exit_code == 2)
        tonight.keep(name, Step(state=state, **_when(started), error=text, retry=retry))
        raise
    state = "kept" if found.get("action") == "kept" else "done"
    tonight.keep(name, Step(state=state, **_when(started), found=found))
    tonight.report(f"{name}: {state}" + "".join(f", {key} {_shown(value)}" for key, value in found.items()))


def _when(started: float) -> dict[str, Any]:
    return {"at": record.now(), "seconds": time.monotonic() - started}


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
