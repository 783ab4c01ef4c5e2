"""Where the time of `make quickstart` goes: each of its commands, and what the search does before and after its race.

    python benchmarks/quickstart.py

Runs `scripts/quickstart.sh` with a command that notes when it began and ended. The race begins with its first trial and
ends with its last; what is before is the start of the controller and of its workers, what is behind is leaderboard,
report and model.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from results import ROOT, Cell, record

from glmix_automl.study.folder import StudyFolder

WRAPPER = """#!{python}
import json, resource, subprocess, sys, time
begun = time.time()
code = subprocess.run([{command!r}, *sys.argv[1:]]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
told = dict(name=sys.argv[1], begun=begun, ended=time.time(), processor=used.ru_utime + used.ru_stime)
print(json.dumps(told), file=open({log!r}, "a"))
sys.exit(code)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, log = Path(place), Path(place) / "log"
        command = folder / "glmix-automl"
        real = str(Path(sys.executable).parent / "glmix-automl")
        command.write_text(WRAPPER.format(python=sys.executable, command=real, log=str(log)))
        command.chmod(0o755)
        told = os.environ | {"BIN": place, "OUT": f"{place}/out"}
        if subprocess.run([str(ROOT / "scripts" / "quickstart.sh")], env=told).returncode:
            sys.exit("the quickstart failed")
        steps = [json.loads(line) for line in log.read_text().splitlines()]
        results = StudyFolder(f"{place}/out/study").history().results.values()
    spent: list[tuple[str, float, float | None]] = []
    for step in steps:
        begun, ended = step["begun"], step["ended"]
        if step["name"] != "search":
            spent.append((step["name"], ended - begun, step["processor"]))
            continue
        first, last = min(r.started for r in results), max(r.ended for r in results)
        spent += [("search: start", first - begun, None), ("search: race", last - first, None)]
        spent += [("search: leaderboard, report, model", ended - last, None)]
        spent += [("search: all of it", ended - begun, step["processor"])]
    whole = steps[-1]["ended"] - steps[0]["begun"]
    rows: list[list[Cell]] = [[name, seconds, seconds / whole, processor] for name, seconds, processor in spent]
    for name, seconds, share, processor in rows:
        print(f"{name:38}{seconds:>8.1f} s {share:>8.1%} {f'{processor:8.1f} cpu s' if processor else ''}")
    parts = sorted((row for row in rows if row[0] != "search: all of it"), key=lambda row: -float(str(row[1])))
    most = ", ".join(f"{row[0]} {float(str(row[2])):.0%}" for row in parts[:3])
    says = f"Most of the quickstart's time goes to {most}."
    heads = ["step", "seconds by the clock", "share", "processor seconds"]
    record("quickstart", says, heads, rows, data="100,000 generated rows", seeds="one call")


if __name__ == "__main__":
    main()
