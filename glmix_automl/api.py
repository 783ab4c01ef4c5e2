"""The same as the commands, for notebooks: prepare a dataset, run a study, look at what came of it.

from glmix_automl import Study, prepare

dataset = prepare("conf/prepare/ml-100k.yaml")
study = Study("conf/search/jymbii.yaml").run()
study.leaderboard()
study.champion().predict(pandas.read_parquet(dataset.folder.path("raw/test")))
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmix_automl.check import check
from glmix_automl.conclusion import conclude, evaluate, publish, summary
from glmix_automl.config import load
from glmix_automl.dataset import Dataset
from glmix_automl.layout import DESCRIPTION, MODEL, REPORT
from glmix_automl.reporting.leaderboard import leaderboard
from glmix_automl.study.controller import INTERRUPTED
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.study.session import Observer, Session
from glmix_automl.study.settings import SearchSettings
from glmix_automl.tracking.tracker import tracking

if TYPE_CHECKING:
    import pandas as pd

    from glmix_automl.serving.model import Model


def prepare(
    recipe: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    overwrite: bool = False,
    key: str | None = None,
) -> Dataset:
    """Prepares a dataset and opens it: on Spark where a session is active or only Spark can, else in this process.

    Args:
        recipe: YAML file, or plain data.
        overrides: `dotted.key=value` texts laid over it.
        overwrite: replace what is at the output.
        key: of the night, by which dates in the recipe are filled.

    Raises:
        ConfigError, DataError: what is wrong with the recipe or the tables, and what to do.
    """
    from glmix_automl.prepare import pipeline
    from glmix_automl.spark import is_running, session

    settings = pipeline.load_recipe(recipe, overrides, key)
    spark = session(f"prepare {settings.name}") if pipeline.wants_spark(settings, is_running()) else None
    pipeline.prepare_dataset(spark, settings, overwrite)
    return Dataset.open(settings.output)


class Study:
    """A study: one that is to be run, or one that is there already.

    Attributes:
        settings: what it is told to do.
        folder: where it lies.
        ended: why the last `run` ended.
        problem: why MLflow does not show all of it, or None.
        found: what the last `run` came to, flat: `conclusion.summary`.
    """

    def __init__(
        self, configuration: str | Path | Mapping[str, Any] | SearchSettings, overrides: Iterable[str] = ()
    ) -> None:
        """A study from a search configuration; nothing is started.

        Args:
            configuration: YAML file, plain data, or checked settings.
            overrides: `dotted.key=value` texts laid over file or data.

        Raises:
            ConfigError: the configuration is wrong: which key, what was expected.
        """
        if isinstance(configuration, SearchSettings):
            self.settings = configuration
        else:
            self.settings = load(configuration, SearchSettings, overrides)
        self.folder = StudyFolder(self.settings.study)
        self.ended: str | None = None
        self.problem: str | None = None
        self.found: dict[str, Any] = {}

    def __dir__(self) -> list[str]:
        """What a user calls; the rest is for the commands."""
        return ["champion", "leaderboard", "report", "run"]

    @classmethod
    def open(cls, path: str | Path) -> "Study":
        """A study that is there, from its folder.

        Raises:
            StudyError: there is none.
        """
        return cls(StudyFolder(path).record.settings)

    def run(self, resume: bool = True, observe: Observer | None = None) -> "Study":
        """Works on the study until it ends; begins it, or goes on with what is there.

        Args:
            resume: refuse a folder that has a study already if False.
            observe: called after every step with the controller and the executor.

        Raises:
            ConfigError, DataError, StudyError, PoolError: what is wrong, and what to do.
        """
        if not self.folder.begun:
            check(self.settings)
        with (
            Session(self.settings, resume) as session,
            tracking(session.folder, session.settings, session.dataset.manifest.name) as tracker,
        ):
            self.ended = session.run(observe)
        if self.ended != INTERRUPTED:
            board = conclude(self.folder)
            self.problem = publish(self.folder, board, tracker)
            self.found = summary(self.folder, board)
        return self

    @property
    def history(self) -> History:
        """Trials and results so far."""
        return self.folder.history()

    def champion(self) -> "Model":
        """The winning model, ready for raw rows: `champion().predict(frame)`.

        Raises:
            StudyError: no trial left a model.
        """
        from glmix_automl.serving.model import Model

        if not self.folder.files.exists(f"{MODEL}/{DESCRIPTION}"):
            conclude(self.folder)
        return Model(self.folder.files.within(MODEL))

    def leaderboard(self) -> "pd.DataFrame":
        """One row per entry of the race, the winner first; columns: `glmix_automl.reporting.leaderboard.Row`.

        Raises:
            DataError: the dataset or cached scores cannot be read.
            StudyError: no trial left a model.
        """
        history = self.history
        return leaderboard(history, evaluate(self.folder, history), self.settings.prefer).frame()

    def report(self) -> Path:
        """Writes leaderboard, report and winning model of what there is so far; gives the report's path.

        Raises:
            DataError: the dataset or cached scores cannot be read.
            StudyError: no trial left a model.
        """
        conclude(self.folder)
        return self.folder.on_disk(REPORT)
