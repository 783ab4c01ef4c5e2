"""Runs benchmarks by name, records them in benchmarks/results/ and writes docs/benchmarks.md anew from all records.

    make bench                                   # every part that needs nothing but the project
    make bench PARTS="training scoring"          # some of them
    python benchmarks/run.py training --arguments "--rows 100000 --repeats 3"
    python benchmarks/run.py quality --arguments "build/datasets/github --peers build/peers --seconds 120"
    python benchmarks/run.py --page              # only the page

A part is a script beside this one; without `--arguments` it is run with those given here. Parts that have none need
prepared data or an environment of their own, of which their docstrings tell. `adanet.py` is none: it prints.
"""

import argparse
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass

from page import PAGE, make_pages
from results import FOLDER, RESULTS, ROOT


@dataclass(frozen=True)
class Part:
    """A benchmark that can be asked for.

    Attributes:
        script: beside this file.
        arguments: as it is run where nothing is said; None: it cannot be run without being told some.
    """

    script: str
    arguments: str | None = None


PARTS = {
    "training": Part("training_speed.py", "--rows 100000 --repeats 7"),
    "time-to-quality": Part("time_to_quality.py", ""),
    "wide-ids": Part("wide_ids.py", ""),
    "evaluation": Part("evaluation.py", "--rows 300000"),
    "metrics": Part("metrics.py", ""),
    "streaming": Part("streaming.py", ""),
    "scoring": Part("scoring.py", "--rows 400000"),
    "preparation": Part("prepare.py", "--rows 1000000"),
    "random-effects": Part("random_effects.py", ""),
    "straggler": Part("straggler.py", ""),
    "pool": Part("pool.py", ""),
    "controller": Part("controller.py", ""),
    "tuning": Part("tuning.py", "--strategies random gp multitask"),
    "utilisation": Part("tuning.py", "utilisation --strategies random gp asha"),
    "speed-up": Part("tuning.py", "speedup --problems branin hartmann6 github ml100k --picture docs/speedup.svg"),
    "nights": Part("nights.py", ""),
    "planted-effects": Part("planted_effects.py", ""),
    "quality": Part("quality.py"),
    "quality-large": Part("quality.py"),
    "products": Part("products.py"),
    "poster": Part("poster.py"),
    "exponents": Part("exponents.py", ""),
    "quickstart": Part("quickstart.py", ""),
    "families": Part("families.py"),
    "default-race": Part("default_race.py"),
    "effects-in-growth": Part("default_race.py"),
    "original-adanet": Part("original_adanet.py"),
    "columns": Part("columns.py"),
    "columns-cost": Part("columns_cost.py", "--growth 100000 1000000 --history-growth 250000 1000000"),
    "movielens-effects": Part("movielens_effects.py"),
}


def run(name: str, arguments: str) -> bool:
    """Runs a part to its end; whether it went well."""
    command = [sys.executable, str(ROOT / "benchmarks" / PARTS[name].script), *shlex.split(arguments)]
    print(f"== {name}: {shlex.join(command[1:])}", flush=True)
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {FOLDER: str(RESULTS), "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run(command, cwd=ROOT, env=environment).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--arguments", help="of the script, instead of its own; for a single part")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    names = given.parts or [name for name, part in PARTS.items() if part.arguments is not None]
    if given.arguments is not None and len(given.parts) != 1:
        parser.error("--arguments belong to one part; name it")
    failed = []
    for name in [] if given.page else names:
        arguments = PARTS[name].arguments if given.arguments is None else given.arguments
        if arguments is None:
            parser.error(f"{name} needs --arguments; see {PARTS[name].script} --help")
        if not run(name, arguments):
            failed.append(name)
    for path, text in make_pages().items():
        path.write_text(text)
    print(f"failed: {', '.join(failed)}" if failed else f"wrote {PAGE.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
