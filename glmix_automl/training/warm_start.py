"""What a coordinate begins from: a parent of its study, or a checkpoint of an earlier one."""

from typing import Any

from glmix_automl.errors import TrialError
from glmix_automl.models.checkpoint import load_arrays, load_earlier, read_description
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.models.weight_transfer import transfer
from glmix_automl.training.trainer import Start
from glmix_automl.trial import Trial


def load_checkpoint(trial: Trial) -> Any:
    """The coordinate that a trial's checkpoint holds, on the dataset it was trained on.

    Raises:
        DataError: it cannot be read.
        TrialError: it is of another family.
    """
    earlier = load_earlier(trial.checkpoint or "")
    if earlier.family != trial.family:
        raise TrialError(
            f"{trial.checkpoint}: holds weights of family {earlier.family}, the trial is of family "
            f"{trial.family}: the plan is not of this study or model"
        )
    return earlier


def warm_start(coordinate: Differentiable, start: Start) -> float:
    """Takes on the weights that a trial begins from, if any; returns the passes made if it goes on with a training.

    A promotion (same family, parameters, fraction; more epochs) goes on; any other child takes the weights of the same
    name and shape. From a checkpoint of another study or model weights follow features and terms.

    Raises:
        DataError: they cannot be read.
        TrialError: the checkpoint is of another family.
    """
    trial = start.trial
    if trial.checkpoint is not None:
        transfer(coordinate, load_checkpoint(trial))
        return 0.0
    if trial.parent is None:
        return 0.0
    parent, arrays = read_description(start.parent), load_arrays(start.parent)
    if parent["family"] == trial.family and parent["parameters"] == coordinate.parameters.model_dump():
        coordinate.restore(arrays, start.parent.uri)
        training = parent["training"]
        goes_on = training["fraction"] == trial.fraction and training["epochs"] < trial.epochs
        return float(training["epochs"]) if goes_on else 0.0
    for name, weight in coordinate.weights.items():
        if name in arrays and arrays[name].shape == tuple(weight.shape):
            weight.assign(arrays[name])
    return 0.0
