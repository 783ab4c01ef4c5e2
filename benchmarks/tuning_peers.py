"""Optuna and DeepHyper behind our ask and tell, to be measured on the same problems in the same call.

DeepHyper pins other versions than our lock does, so the call is made in an environment of their own:

    python -m venv /tmp/peers && /tmp/peers/bin/pip install deephyper optuna torch pydantic pyyaml pyarrow threadpoolctl
    PYTHONPATH=. /tmp/peers/bin/python benchmarks/tuning.py --strategies gp optuna-tpe optuna-gp deephyper-et

(PyTorch is what Optuna's Gaussian process computes with.)
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from problems import EPOCHS, Problem

from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.space import Space
from glmix_automl.trial import Result, Trial, Value

OPTUNA = {"optuna-tpe": "TPESampler", "optuna-gp": "GPSampler"}
DEEPHYPER = {"deephyper-rf": "RF", "deephyper-et": "ET"}
LISTED = 1000
"""A space of at most so many points is among the 10,000 that CBO draws per proposal."""


def peer(name: str) -> Callable[[Problem, int], Strategy]:
    """How to make a peer for a problem and a seed.

    Raises:
        ImportError: it is not installed.
        KeyError: there is no such peer.
    """
    warnings.simplefilter("ignore")
    if name in OPTUNA:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kind = STRATEGIES["optuna"]

        def make(problem: Problem, seed: int) -> Strategy:
            work = {"family": "replayed", "space": problem.space, "epochs": EPOCHS, "trials": 2000}
            return kind.make(kind.options.model_validate({**work, "sampler": OPTUNA[name]}), seed)

        return make
    surrogate = DEEPHYPER[name]
    import deephyper.hpo  # noqa: F401

    logging.getLogger("deephyper").setLevel(logging.ERROR)
    return lambda problem, seed: DeepHyper(problem.space, surrogate, seed)


class DeepHyper:
    """DeepHyper's CBO with its defaults, asked for one configuration at a time, as its evaluators do.

    But for tables: there the best of the points drawn is the best untried one there is. The genetic search that CBO
    goes on with by default mates 3,000 times for points that are not in its population already, which takes 15 to 27
    s of a processor on 432 points (0.06 s without), and may end at a point that was tried.
    """

    def __init__(self, space: Space, surrogate: str, seed: int) -> None:
        from deephyper.hpo import CBO, HpProblem

        problem, self._space = HpProblem(), space
        for name, parameter in space.parameters.items():
            if parameter.type == "float":
                ends = (float(parameter.low), float(parameter.high))
                problem.add_hyperparameter((*ends, "log-uniform") if parameter.scale == "log" else ends, name)
            elif parameter.type == "int" and parameter.scale != "power_of_two":
                problem.add_hyperparameter((parameter.low, parameter.high), name)
            elif parameter.type == "int":
                problem.add_hyperparameter((0, int(parameter.levels) - 1), name)
            else:
                problem.add_hyperparameter([str(i) for i in range(int(parameter.levels))], name)
        optimizer = "sampling" if space.size <= LISTED else "mixedga"
        self._search = CBO(problem, random_state=seed, surrogate_model=surrogate, acq_optimizer=optimizer, verbose=0)
        self._asked: list[dict[str, Any]] = []

    def ask(self, n: int) -> list[Trial]:
        """What CBO suggests; parameters that do not apply are left out, as CBO is told of no conditions."""
        trials = []
        for _ in range(n):
            suggested = self._search.ask(1)[0]
            self._asked.append(suggested)
            trials.append(Trial(len(self._asked) - 1, "", "replayed", self._ours(suggested), epochs=EPOCHS))
        return trials

    def _ours(self, suggested: dict[str, Any]) -> dict[str, Value]:
        chosen: dict[str, Value] = {}
        for name in self._space.ordered:
            parameter, value = self._space.parameters[name], suggested[name]
            if not self._space.applies(name, chosen):
                continue
            if parameter.type == "float":
                chosen[name] = min(max(float(value), parameter.low), parameter.high)
            elif parameter.type == "int":
                chosen[name] = int(value) if parameter.scale != "power_of_two" else parameter.low << int(value)
            else:
                chosen[name] = parameter.value(int(value))
        return chosen

    def tell(self, result: Result) -> None:
        """Tells CBO, which maximises."""
        self._search.tell([(self._asked[result.number], float(result.auc or 0.0))])
