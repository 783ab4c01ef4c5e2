"""The configuration of a search: dataset, race, workers, limits and tracking; one YAML file, checked before work."""

import math
from importlib.metadata import entry_points
from typing import Any, Literal
from urllib.parse import urlsplit

import pydantic

from glmix_automl.config import Config, nearest
from glmix_automl.errors import ConfigError
from glmix_automl.metrics.measures import AUC, MeasureName
from glmix_automl.workers.submission import DEFAULT_POLICY

STORES = ("file", "http", "https", "sqlite", "mysql", "postgresql", "mssql", "databricks", "databricks-uc", "uc")
"""Schemes of MLflow's own tracking stores; plugins bring others."""


Preference = Literal["simpler", "best"]


class _Finite(Config):
    """Settings without infinities, which JSON, and so `study.json`, knows no number for: no limit is none."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)


class Workers(_Finite):
    """Where trials run, and how many at once."""

    place: Literal["local", "in_process", "spark"] = "local"
    """`local`: a pool of Horovod worlds on this machine; `in_process`: one trial after the other in the controller;
    `spark`: Horovod worlds made of the tasks of one Spark job."""
    slots: int = pydantic.Field(default=2, ge=1)
    """Trials at once; each slot is one Horovod world."""
    ranks: int = pydantic.Field(default=1, ge=1)
    """Processes per world."""
    averaging: Literal["synchronous", "anytime"] = "synchronous"
    """How the ranks of a world work together: an allreduce per step, or local steps for a time slice and their mean."""
    threads: int | None = pydantic.Field(default=None, ge=1)
    """Of each process; none: this machine's cores shared among them."""
    trial_seconds: float | None = pydantic.Field(default=None, gt=0)
    """A trial that runs so long is stopped, its best weights count; one that does not stop then has hung: its worker is
    replaced and the trial has failed."""
    memory_mb: float | None = pydantic.Field(default=None, gt=0)
    """Memory of each process for rows: a dataset that needs more streams from disk at each pass, in blocks with
    read-ahead; none: everything is resident."""
    memory_limit_mb: float | None = pydantic.Field(default=None, gt=0)
    """Resident memory at which a worker's process is ended, before the machine runs out of it and ends some other; its
    trial is tried again, and then fails as out of memory; none: whatever there is."""
    attempts: int = pydantic.Field(default=DEFAULT_POLICY.attempts, ge=1)
    """How often a trial is started before a lost worker makes it a failed one."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_slot_in_process(cls, told: Any) -> Any:
        alone = isinstance(told, dict) and told.get("place") == "in_process" and "slots" not in told
        return {**told, "slots": 1} if alone else told

    @pydantic.model_validator(mode="after")
    def _one_after_the_other(self) -> "Workers":
        if self.place == "in_process" and (self.slots, self.ranks, self.memory_limit_mb) != (1, 1, None):
            raise ValueError(
                "in_process carries out one trial after the other in the controller: leave out slots, ranks and "
                "memory_limit_mb, or choose place local"
            )
        return self


class Limits(_Finite):
    """When the study ends, whichever comes first; none: when every entry of the race has ended."""

    worker_seconds: float | None = pydantic.Field(default=None, gt=0)
    """Seconds that slots were held by trials, times their ranks."""
    seconds: float | None = pydantic.Field(default=None, gt=0)
    """Seconds by the clock: running trials are stopped then, and their best weights so far count."""
    trials: int | None = pydantic.Field(default=None, ge=1)
    """Trials ended, failed ones included."""
    target_auc: float | None = pydantic.Field(default=None, gt=0, le=1)
    """A validation AUC that is good enough."""
    patience: int | None = pydantic.Field(default=None, ge=1)
    """Trials in a row without a better validation AUC."""
    grace_seconds: float = pydantic.Field(default=15.0, ge=0)
    """How long trials that were told to stop may take to hand in their best weights."""


class EntryBudget(Config):
    """What one entry of the race may use; none: no bound of its own."""

    worker_seconds: float | None = pydantic.Field(default=None, gt=0)
    trials: int | None = pydantic.Field(default=None, ge=1)


class EntrySettings(pydantic.BaseModel):
    """One entry of the race. Keys that are not here belong to the strategy, which checks them itself."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True, allow_inf_nan=False)

    strategy: str
    """Name of the strategy: a key of `glmix_automl.search.STRATEGIES`."""
    budget: EntryBudget = EntryBudget()
    share: float = pydantic.Field(default=1.0, gt=0)
    """Worker-seconds of this entry for each one of an entry with share 1, while both want workers."""
    lag: int | None = pydantic.Field(default=None, ge=0)
    """Each proposal knows all results but those of the last `lag` trials before it, so that one seed gives the same
    trials whatever took how long; at most lag + 1 are out. None: it knows whatever has arrived, and nobody waits."""

    @pydantic.model_validator(mode="after")
    def _finite(self) -> "EntrySettings":
        for key, value in (self.model_extra or {}).items():
            _check_finite(key, value)
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The strategy's own keys."""
        return dict(self.model_extra or {})


def _check_finite(key: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key}: expected a finite number, got {value}")
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, each in inside:
        _check_finite(f"{key}.{name}", each)


class Tracking(Config):
    """Where MLflow keeps its view of the study."""

    enabled: bool = True
    uri: str | None = None
    """Any MLflow tracking URI; none: SQLite in `mlflow.db` beside the study's folder."""
    experiment: str | None = None
    """None: the dataset's name."""

    def check(self) -> None:
        """Checks that MLflow can know the place, without asking there.

        Raises:
            ConfigError: nobody knows the scheme of the URI, or it names no host.
        """
        if not self.enabled or self.uri is None:
            return
        parts = urlsplit(self.uri)
        scheme = parts.scheme.partition("+")[0]  # mysql+pymysql
        known = (*STORES, *(plugin.name for plugin in entry_points(group="mlflow.tracking_store")))
        if scheme and scheme not in known:
            told = nearest(scheme, known)
            raise ConfigError(
                f"tracking.uri: {self.uri}: MLflow knows no scheme {scheme!r}{told}; there are {', '.join(known)}"
            )
        if scheme in ("http", "https") and not parts.hostname:
            raise ConfigError(f"tracking.uri: {self.uri}: names no host; expected http://host:port")


class SearchSettings(Config):
    """One search: a race of strategies on one dataset over one pool of workers."""

    dataset: str = pydantic.Field(min_length=1)
    """Folder or URI of a prepared dataset."""
    study: str = pydantic.Field(min_length=1)
    """Folder or URI of the study; its name is the name of the study."""
    seed: int = 0
    race: dict[str, EntrySettings] = {}
    """Entries by name, each a strategy with its options and budget; none: the default race of the dataset
    (`study.defaults`)."""
    left_out: tuple[str, ...] = ()
    """What the default race leaves out, as the data are large; written by the study."""
    baseline: str | None = None
    """Entry that others are compared with in the report; none: the first."""
    measure: MeasureName = AUC
    """What models are compared by, everywhere: `auc` over all rows, or the mean over members of `member_auc`, `ndcg@k`
    or `precision@k`. Within a trial (curves, patience, which step's weights are kept) it is the AUC all the same."""
    prefer: Preference = "simpler"
    """Which model wins: the simplest of those within one standard error of the best on validation, or the best."""
    refit: bool | Literal["time_left"] | None = None
    """Whether what is exported is the winner trained again on train and validation together, its choices fixed;
    `time_left`: if what is left of `limits.seconds` holds it; none: so in the default race, else not."""
    workers: Workers = Workers()
    limits: Limits = Limits()
    tracking: Tracking = Tracking()

    @pydantic.model_validator(mode="after")
    def _tracked_somewhere(self) -> "SearchSettings":
        is_away = "://" in self.study and not self.study.startswith("file:")
        if is_away and self.tracking.enabled and self.tracking.uri is None:
            raise ValueError(
                f"study {self.study}: beside a study at a store there can be no SQLite file for MLflow: name a "
                "server or database in tracking.uri, or set tracking.enabled: false"
            )
        return self

    @pydantic.field_validator("race")
    @classmethod
    def _readable(cls, race: dict[str, EntrySettings]) -> dict[str, EntrySettings]:
        for name in race:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"an entry's name is a line that can be read; {name!r} is none")
        return race

    @pydantic.model_validator(mode="after")
    def _known_baseline(self) -> "SearchSettings":
        if self.race and self.baseline is not None and self.baseline not in self.race:
            raise ValueError(f"baseline {self.baseline!r} is no entry of the race, which has {', '.join(self.race)}")
        return self
