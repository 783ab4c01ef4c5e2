"""Errors a person can act on, named after who must act. The command line prints them without a traceback."""


class GlmixError(Exception):
    """Something a person can mend; the message says what, where, what was expected and what to do."""

    exit_code = 1


class ConfigError(GlmixError):
    """The configuration or the arguments are wrong: whoever wrote them must act."""

    exit_code = 2


class DataError(GlmixError):
    """The tables or the dataset are wrong: whoever delivers the data must act."""


class StudyError(GlmixError):
    """The study's folder cannot be used as asked: locked by another controller, torn, of another dataset."""


class TrialError(GlmixError):
    """One trial cannot be carried out; becomes a failed result, never the end of the study."""


class WorkerLostError(TrialError):
    """The worker of a trial died or hung; the trial may be tried again elsewhere."""


class PoolError(GlmixError):
    """No worker can start or go on: whoever runs the machines, or delivers what the task reads, must act."""
