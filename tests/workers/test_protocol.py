"""Messages survive the way there, and nothing else is taken for one."""

import dataclasses
from typing import get_args

import numpy as np
import pytest

from glmix_automl.trial import Progress, Result, State, Trial
from glmix_automl.workers import protocol
from glmix_automl.workers.fault import Fault
from glmix_automl.workers.protocol import Message, ProtocolError, decode_message, encode_message

POINT = Progress(3, 0.5, 7, 1.5, auc=0.6)
FIELDS = {
    "trial": Trial(3, "entry", "logistic", {"l2": 0.5, "solver": "adam", "dense": True, "patience": None, "n": 3}),
    "result": Result(3, State.FINISHED, auc=0.5, loss=0.7, metrics={"test_auc": 0.4}, curve=(POINT,)),
    "progress": POINT,
    "settings": protocol.WorkerSettings("host", 1, "secret", "worker", {"name": "a.B", "arguments": {"n": [1]}}),
    **dict.fromkeys(("name", "error", "text", "address", "machine", "tail"), "two\nlines é"),
    **dict.fromkeys(("incarnation", "parent", "resident_bytes", "number", "rank", "size", "port", "code"), 7),
    "oom": True,
    "fault": Fault.DISK,
}


@pytest.mark.parametrize("kind", get_args(Message), ids=lambda kind: kind.__name__)
def test_every_message_arrives_as_it_was_sent_in_one_line(kind: type) -> None:
    message = kind(**{field.name: FIELDS[field.name] for field in dataclasses.fields(kind)})
    assert decode_message(encode_message(message)) == message
    assert b"\n" not in encode_message(message)
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.other = 1  # type: ignore[union-attr, misc]


def test_numpy_scalars_arrive_as_numbers_and_other_objects_are_not_sent() -> None:
    sent = Result(1, State.FINISHED, auc=np.float32(0.5), metrics={"steps": np.int64(7), "rate": np.float64(0.25)})  # type: ignore[arg-type]
    arrived = decode_message(encode_message(protocol.TrialDone(1, sent)))
    assert isinstance(arrived, protocol.TrialDone)
    assert arrived.result is not None
    assert (arrived.result.auc, arrived.result.metrics) == (0.5, {"steps": 7, "rate": 0.25})
    with pytest.raises(TypeError, match="object cannot be sent"):
        encode_message(protocol.TrialDone(1, Result(1, State.FINISHED, auc=0.5, metrics={"what": object()})))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "speaks version  of"),
        (b"2 Quit {}", "speaks version 2 .* this one version 1: the same version of glmix-automl"),
        (b"1 Quot {}", "no message Quot"),
        (b"1 __import__ {}", "no message __import__"),
        (b"1 Quit", "malformed Quit"),
        (b'1 Quit {"now": true}', "malformed Quit(.|\n)*now"),
        (b"1 StopTrial {}", "malformed StopTrial(.|\n)*number(.|\n)*required"),
        (b'1 StopTrial {"number": "1"}', "malformed StopTrial(.|\n)*number(.|\n)*integer"),
        (b"1 StopTrial [1]", "malformed StopTrial"),
        (b'1 StopTrial {"number": 1', "malformed StopTrial"),
        (b'1 RunTrial {"trial": 7}', "malformed RunTrial"),
        (b'1 RunTrial {"trial": {"number": 1}}', "malformed RunTrial(.|\n)*strategy"),
        (b'1 TrialDone {"number": 1, "result": {"number": 1}}', "malformed TrialDone(.|\n)*state"),
    ],
)
def test_what_is_no_message_of_this_version_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_message(content)
