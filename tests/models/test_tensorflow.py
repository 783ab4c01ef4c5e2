"""TensorFlow comes without Keras, for us; who asks for it gets it."""

import subprocess
import sys

CODE = """
import os, sys
import glmix_automl.training.evaluate
assert "tensorflow" in sys.modules and "keras" not in sys.modules
assert "TF_USE_LEGACY_KERAS" not in os.environ
import tensorflow as tf
assert tf.keras.__version__.startswith("3.")
assert tuple(tf.keras.layers.Dense(3)(tf.zeros((2, 2))).shape) == (2, 3)
"""


def test_keras_is_not_imported_before_somebody_asks_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
