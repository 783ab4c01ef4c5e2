"""What the ranks of one world do together: the role, the identity of a world of one, and Horovod.

A task asks `current()` for the collective of the world it runs in. Outside a worker that is `Alone`, so the same
training code runs in a notebook, in a test and in a world of many ranks.
"""

from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from glmix_automl.errors import WorkerLostError

A = TypeVar("A")
"""A numpy array, a float, or a TensorFlow tensor; what goes in comes out."""

Reduction = Literal["sum", "mean"]


class Collective(Protocol):
    """The ranks of one world. Every rank makes the same calls in the same order, with arrays of the same type and
    shape (`allgather`: the same but for the first axis).

    Numpy arrays and floats go in and come out as such. TensorFlow tensors may also be reduced inside a `tf.function`:
    the operation becomes part of the graph.

    A call raises `WorkerLostError` (inside a graph: an error for which `is_lost` holds) when another rank has died or
    given up; the world is unusable from then on and the task lets the error pass.
    """

    @property
    def rank(self) -> int:
        """The place of this process in the world, from 0."""
        ...

    @property
    def size(self) -> int:
        """Number of ranks."""
        ...

    def allreduce(self, value: A, reduction: Reduction = "sum", name: str | None = None) -> A:
        """The sum or mean of every rank's value. Inside a graph with several reductions of tensors that are made
        differently from rank to rank, `name` says which belong together.
        """
        ...

    def broadcast(self, value: A, root: int = 0) -> A:
        """The value of rank `root`, on every rank."""
        ...

    def allgather(self, value: A) -> A:
        """Every rank's array one below the other along the first axis, in the order of ranks."""
        ...


class Alone:
    """A world of one rank: every operation is the identity."""

    rank = 0
    size = 1

    def allreduce(self, value: A, reduction: Reduction = "sum", name: str | None = None) -> A:
        """The value itself."""
        return value

    def broadcast(self, value: A, root: int = 0) -> A:
        """The value itself."""
        return value

    def allgather(self, value: A) -> A:
        """The value itself."""
        return value


class HorovodCollective:
    """The world that `horovod.tensorflow` was last initialised in."""

    def __init__(self) -> None:
        import horovod.tensorflow as hvd

        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def allreduce(self, value: A, reduction: Reduction = "sum", name: str | None = None) -> A:
        """See `Collective`; gradients that are `tf.IndexedSlices` are gathered, not made dense."""
        op = self._hvd.Sum if reduction == "sum" else self._hvd.Average
        return self._run(value, "allreduce", lambda tensor: self._hvd.allreduce(tensor, op=op, name=name))

    def broadcast(self, value: A, root: int = 0) -> A:
        """See `Collective`."""
        return self._run(value, "broadcast", lambda tensor: self._hvd.broadcast(tensor, root))

    def allgather(self, value: A) -> A:
        """See `Collective`."""
        return self._run(value, "allgather", self._hvd.allgather)

    def _run(self, value: Any, what: str, operation: Any) -> Any:
        import tensorflow as tf

        plain = isinstance(value, np.ndarray | np.generic | float | int)
        try:
            outcome = operation(tf.convert_to_tensor(np.asarray(value)) if plain else value)
        except Exception as error:
            if is_lost(error):
                raise WorkerLostError(f"{what}: another rank of the world has ended: {error}") from error
            raise
        if not plain:
            return outcome
        array = outcome.numpy()
        return array if isinstance(value, np.ndarray) else type(value)(array)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another rank of the world died or gave up, and not that this one went wrong."""
    if isinstance(error, WorkerLostError) or type(error).__name__ == "HorovodInternalError":
        return True
    cause = error.__cause__ or error.__context__
    text = str(error)
    return ("Horovod" in text and any(sign in text for sign in _SIGNS)) or (cause is not None and is_lost(cause))


# What Horovod 0.28 and Gloo put in the text of TensorFlow's UnknownError.
_SIGNS = (
    "has been shut down",
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out",
    "not been initialized",
    "gloo",
)

_current: Collective = Alone()


def current() -> Collective:
    """The collective of the world this process is in now; `Alone` outside a worker. Ask again for every trial: after a
    rank was lost the world is a new one.
    """
    return _current


def enter(collective: Collective) -> None:
    """Sets what `current` gives; called by the worker when it has formed or left a world."""
    global _current
    _current = collective
