"""The same as the commands, for notebooks: prepare a dataset, run a study, look at what came of it.

from glmix_automl import Study, prepare

prepare("conf/prepare/ml-100k.yaml")
study = Study("conf/search/jymbii.yaml").run()
study.leaderboard()
study.champion().predict(raw_frame)
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmix_automl.config import load, parse
from glmix_automl.dataset import Dataset
from glmix_automl.errors import StudyError
from glmix_automl.study import report
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.study.judge import Judge
from glmix_automl.study.leaderboard import Leaderboard, leaderboard
from glmix_automl.study.session import Observer, Session
from glmix_automl.study.settings import SearchSettings

if TYPE_CHECKING:
    import pandas as pd


class Study:
    """A study: one that is to be run, or one that is there already.

    Attributes:
        settings: what it is told to do.
        folder: where it lies.
        ended: why the last `run` ended.
    """

    def __init__(
        self, configuration: str | Path | Mapping[str, Any] | SearchSettings, overrides: Iterable[str] = ()
    ) -> None:
        """A study from a search configuration; nothing is started.

        Args:
            configuration: YAML file, plain data, or checked settings.
            overrides: `dotted.key=value` texts laid over a file.

        Raises:
            ConfigError: the configuration is wrong: which key, what was expected.
        """
        if isinstance(configuration, SearchSettings):
            self.settings = configuration
        elif isinstance(configuration, Mapping):
            self.settings = parse(configuration, SearchSettings, "study")
        else:
            self.settings = load(configuration, SearchSettings, overrides)
        self.folder = StudyFolder(self.settings.study)
        self.ended: str | None = None

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
        with Session(self.settings, resume) as session:
            self.ended = session.run(observe)
        return self

    @property
    def history(self) -> History:
        """Trials and results so far."""
        return self.folder.history()

    def conclude(self) -> Leaderboard:
        """Writes leaderboard, report and the winning model into the study's folder; gives the leaderboard.

        Raises:
            DataError: the dataset or cached scores cannot be read.
            StudyError: no trial left a model.
        """
        history = self.history
        judge = self._judge(history)
        board = leaderboard(history, judge)
        board.write(self.folder.files)
        page = report.report(self.folder.name, self.folder.record, history, board, judge)
        report.write(self.folder.files, page, history)
        return board

    def _judge(self, history: History) -> Judge:
        if history.best is None:
            raise StudyError(f"{self.folder.path}: no trial left a model, of {len(history.results)} that ended")
        return Judge(Dataset.open(self.settings.dataset), self.folder.files, history)

    def board(self) -> Leaderboard:
        """The leaderboard of what there is so far.

        Raises:
            DataError: the dataset or cached scores cannot be read.
            StudyError: no trial left a model.
        """
        history = self.history
        return leaderboard(history, self._judge(history))

    def leaderboard(self) -> "pd.DataFrame":
        """One row per entry of the race, the winner first; the columns are those of `study.leaderboard.Row`."""
        return self.board().frame()
