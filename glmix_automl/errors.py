"""Errors a person can act on, named after who must act. The command line prints them without a traceback.

Their exit code tells a scheduler whether to call again: 1, the same call may go better later (tables are late, a lock
is held, a server is away); 2, it cannot until somebody changes what it is given.
"""


class GlmixError(Exception):
    """Something a person can mend; the message says what, where, what was expected and what to do."""

    exit_code = 1


class ConfigError(GlmixError):
    """The configuration or the arguments are wrong: whoever wrote them must act."""

    exit_code = 2


class DataError(GlmixError):
    """The tables or the dataset are wrong: whoever delivers the data must act."""


class ChangedDataError(DataError):
    """The dataset is another one than the study began with; whoever put it there must act."""

    exit_code = 2


class GateError(DataError):
    """The dataset must not be trained on; whoever delivers the data must deliver them anew."""

    exit_code = 2


class StudyError(GlmixError):
    """The study's folder cannot be used as asked: locked by another controller, torn."""


class NoModelError(StudyError):
    """The study is over and no trial left a model: whoever wrote the race or its limits must act."""

    exit_code = 2


class TrialError(GlmixError):
    """One trial cannot be carried out; becomes a failed result, never the end of the study."""


class WorkerLostError(TrialError):
    """The worker of a trial died or hung; the trial may be tried again elsewhere."""


class PoolError(GlmixError):
    """No worker can start or go on: whoever runs the machines, or delivers what the task reads, must act."""
