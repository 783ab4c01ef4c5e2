"""spark-submit jobs/promote.py STUDY [--name NAME] [--force] [--json]: a better model, and only that, becomes champion.

Exit codes: 0 it is the champion now, 3 the old one was kept, others failures.
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["promote", *sys.argv[1:]]))
