"""spark-submit jobs/promote.py STUDY [--name NAME] [--force] [--json]: a better model, and only that, becomes champion.

Exit codes are the command line's (`glmix_automl/cli/outcome.py`).
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["promote", *sys.argv[1:]]))
