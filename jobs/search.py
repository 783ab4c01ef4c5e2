"""The search under spark-submit: workers are tasks of the same Spark application.

    spark-submit --master ... jobs/search.py conf/search/pymk.yaml --set dataset=... --set study=... --resume

Takes what `glmix-automl search` takes; `workers.place` is spark. Run again after a failure with `--resume`: it begins
the study or goes on with it, so a scheduler may always give it.
"""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:], "--set", "workers.place=spark"]))
