"""spark-submit jobs/prepare.py CONF [--set KEY=VALUE ...] [--overwrite]: raw tables become a dataset.

Master, memory and the rest are spark-submit's; nothing is set here that it may set. Exit codes are the command line's
(`glmix_automl/cli/outcome.py`).
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]]))
