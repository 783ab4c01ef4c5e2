"""spark-submit jobs/nightly.py CONF --key 2026-11-28 [--step STEP] [--json]: a night, or one step of it.

Exit codes: 0 done, 1 worth a retry, 2 not (wrong configuration, data refused), 3 the old champion was kept.
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["nightly", *sys.argv[1:]]))
