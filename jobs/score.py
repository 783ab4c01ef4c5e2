"""spark-submit jobs/score.py CONF [--set KEY=VALUE ...] [--key KEY] [--json]: scores raw rows over the executors."""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:], "--set", "engine=spark"]))
