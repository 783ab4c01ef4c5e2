"""Model families beside each other on prepared datasets: what a kind of network or linear model gains over the plain.

    python benchmarks/families.py DATASET... [--seeds 3] [--only subnetwork cross]

Each is one trial with the settings of the default race; nothing is tuned. A line has the mean test AUC over the seeds,
by seed its difference to the plain one of its kind (`logistic`, `subnetwork`, `trees`) with how many standard errors
that is (DeLong, paired by row, members as clusters), AUC within members, and training seconds as a multiple of the
plain one's.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from results import Cell, Figure, record

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.conclusion import evaluate
from glmix_automl.search.growth.default_arms import BOOSTED, LINEAR, NETWORK, SYMMETRIC

VIEW: dict[str, Any] = {"terms": 100}


def _network(family: str = "subnetwork", epochs: float = 6, **parameters: Any) -> dict[str, Any]:
    return {"strategy": "fixed", "family": family, "epochs": epochs, "parameters": NETWORK | VIEW | parameters}


def _linear(**parameters: Any) -> dict[str, Any]:
    return {"strategy": "fixed", "family": "logistic", "parameters": LINEAR | parameters}


def _trees(**parameters: Any) -> dict[str, Any]:
    return {"strategy": "fixed", "family": "trees", "parameters": BOOSTED | parameters}


STEPS = {name: NETWORK[name] for name in ("batch_size", "learning_rate", "table_learning_rate", "schedule")}
PLAIN: dict[str, dict[str, dict[str, Any]]] = {
    "logistic": {"logistic": _linear(), "logistic, 16 bins": _linear(bins=16), "logistic, 48 bins": _linear(bins=48)},
    "subnetwork": {
        "subnetwork": _network(),
        "cross": {"strategy": "fixed", "family": "cross", "epochs": 6, "parameters": STEPS | VIEW},
        "factorisation": {"strategy": "fixed", "family": "factorisation", "epochs": 6, "parameters": STEPS | VIEW},
    },
    "trees": {"trees": _trees(), "trees, symmetric": _trees(**SYMMETRIC, trees=500, learning_rate=0.1)},
}
"""The plain one -> those of its kind, itself first."""


def main() -> None:
    """Runs all of it and prints a table per dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of rows; the plain ones are always there")
    given = parser.parse_args()
    rows = [row for dataset in given.datasets for row in _compare(dataset, given.seeds, given.only)]
    heads = ["data", "family", "test AUC", "AUC less the plain one's", "AUC within members", "training, times"]
    record(
        "families",
        _say(rows),
        heads,
        rows,
        data="prepared columns; settings of the default race, nothing tuned",
        seeds=str(given.seeds),
        spread="mean; least and most",
    )


def _say(rows: list[list[Cell]]) -> str:
    """What each gains over the plain one of its kind and takes, and where it is above it in every seed."""
    data = list(dict.fromkeys(str(row[0]) for row in rows))
    told = []
    for name in dict.fromkeys(str(row[1]) for row in rows if isinstance(row[3], Figure)):
        own = [(row[3], row[5]) for row in rows if row[1] == name and isinstance(row[3], Figure)]
        above = sum(gap.low is not None and gap.low > 0 for gap, _ in own)
        times = [float(each) for _, each in own if isinstance(each, float)]
        gaps = ", ".join(f"{gap.value:+.4f}" for gap, _ in own)
        told.append(f"{name} {gaps} (above on {above}) for {min(times):.1f} to {max(times):.1f} times the training")
    return (
        f"Test AUC less that of the plain logistic regression, subnetwork or trees, on {', '.join(data)}; in brackets "
        f"on how many it is above in every seed: {'; '.join(told)}."
    )


def _compare(dataset: str, seeds: int, only: list[str] | None) -> list[list[Cell]]:
    race = {
        name: entry
        for plain, kind in PLAIN.items()
        for name, entry in kind.items()
        if only is None or name in (plain, *only)
    }
    plain_of = {name: plain for plain, kind in PLAIN.items() for name in kind}
    found: dict[str, list[tuple[float, float, float, str, float]]] = {name: [] for name in race}
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as place:
            settings = {"dataset": dataset, "study": f"{place}/study", "seed": seed, "race": race}
            study = Study({**settings, "tracking": {"enabled": False}}).run()
            history = study.history
            judged = evaluate(study.folder, history)
            number = {trial.strategy: n for n, trial in history.trials.items()}
            for name in race:
                result = history.results[number[name]]
                if result.auc is None:
                    print(f"{name}, seed {seed}: {(result.error or '').strip().splitlines()[-1]}")
                    continue
                gap = judged.compare(number[plain_of[name]], number[name])
                own = judged.scores(number[name])
                auc = metrics.auc(judged.labels, own, judged.weights)
                member = judged.within_members(number[name])["member_auc"]
                errors = gap.difference / gap.standard_error if gap.standard_error else 0.0
                words = f"{gap.difference:+.4f} ({errors:+.1f})" if name not in PLAIN else ""
                found[name].append((auc, member, result.costs.train_seconds, words, gap.difference))
    print(f"| {Path(dataset).name} | test AUC | less the plain one, by seed | within members | training, times |")
    print("|---|---|---|---|---|")
    table: list[list[Cell]] = []
    for name, rows in found.items():
        if rows:
            auc, member, seconds = (statistics.mean(row[k] for row in rows) for k in range(3))
            ratio = seconds / statistics.mean(row[2] for row in found[plain_of[name]])
            print(
                f"| {name} | {auc:.4f} | {' '.join(row[3] for row in rows)} | {member:.4f} | {ratio:.1f} |", flush=True
            )
            gaps = [row[4] for row in rows]
            differs = Figure(statistics.mean(gaps), min(gaps), max(gaps)) if name not in PLAIN else None
            table.append([Path(dataset).name, name, auc, differs, member, ratio])
    return table


if __name__ == "__main__":
    main()
