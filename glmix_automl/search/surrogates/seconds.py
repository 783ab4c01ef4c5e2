"""What a point will cost, learnt from what others did: the worker-seconds by which its gain is divided.

Snoek et al. (2012, section 3.2) model the logarithm of the seconds; here by a line through the encoded parameters. Its
slopes are as steep as the evidence allows (MacKay 1992), so seconds that vary for other reasons flatten it.
"""

import numpy as np

from glmix_automl.search.surrogates.surrogate import Floats64

FEWEST = 3
"""Costs from which a line is drawn; all points are expected to cost the same before."""


def expected_seconds(columns: Floats64, seconds: Floats64, at: Floats64) -> Floats64:
    """Seconds expected at encoded points, [points]; all 1 while too few are known.

    Args:
        columns: encoded points whose seconds are known, [known, columns].
        seconds: theirs, above 0, [known].
        at: encoded points, [points, columns].
    """
    if len(seconds) < FEWEST:
        return np.ones(len(at))
    from sklearn.linear_model import BayesianRidge

    known = np.log(seconds)
    expected = BayesianRidge().fit(columns, known).predict(at)
    return np.asarray(np.exp(np.clip(expected, known.min(), known.max())))
