"""TensorFlow without Keras, which nothing here uses and which takes half of the time of the import."""

import os
import sys

_KERAS = "TF_USE_LEGACY_KERAS"  # read by TensorFlow: whether to import Keras 3 at once, or tf_keras if it is there
_asked = os.environ.get(_KERAS)
if _asked is None and "tensorflow" not in sys.modules:
    os.environ[_KERAS] = "1"
try:
    import tensorflow as tf
finally:  # whoever asks for `tf.keras` later gets Keras 3 then
    if _asked is None:
        os.environ.pop(_KERAS, None)

__all__ = ["tf"]
