"""`python -m glmix_automl.cli`: the command where it is not on the path."""

import sys

from glmix_automl.cli import main

if __name__ == "__main__":
    sys.exit(main())
