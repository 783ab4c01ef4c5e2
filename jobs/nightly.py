"""spark-submit jobs/nightly.py CONF --key 2026-11-28 [--step STEP] [--json]: a night, or one step of it.

Exit codes are the command line's (`glmix_automl/cli/outcome.py`).
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["nightly", *sys.argv[1:]]))
