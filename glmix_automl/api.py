"""The same as the commands, for notebooks: prepare a dataset, run a study, look at what came of it.

from glmix_automl import Study, prepare

prepare("conf/prepare/ml-100k.yaml")
study = Study("conf/search/jymbii.yaml").run()
study.leaderboard()
study.champion().predict(raw_frame)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from glmix_automl.check import check
from glmix_automl.config import load, parse
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import StudyError
from glmix_automl.layout import COORDINATES, DESCRIPTION, MODEL, TRIALS
from glmix_automl.reporting import report
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import Leaderboard, leaderboard
from glmix_automl.reporting.permutation import permutation_importance
from glmix_automl.search.growth.structure import Plan, plan
from glmix_automl.serving.export import export
from glmix_automl.study.controller import INTERRUPTED
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.study.session import Observer, Session
from glmix_automl.study.settings import SearchSettings
from glmix_automl.tracking.tracker import track, tracked

if TYPE_CHECKING:
    import pandas as pd

    from glmix_automl.serving.model import Model
    from glmix_automl.tracking.publish import ModelFiles

EXAMPLE_ROWS = 5  # of the model's input


def prepare(
    recipe: str | Path, overrides: Sequence[str] = (), overwrite: bool = False, key: str | None = None
) -> Dataset:
    """Prepares a dataset on the active Spark session, or on a local one, and opens it.

    Args:
        recipe: YAML file.
        overrides: `dotted.key=value` texts laid over the file.
        overwrite: replace what is at the output.
        key: of the night, by which dates in the recipe are filled.

    Raises:
        ConfigError, DataError: what is wrong with the recipe or the tables, and what to do.
    """
    from glmix_automl.prepare import pipeline
    from glmix_automl.spark import session

    settings = pipeline.load(recipe, overrides, key)
    pipeline.prepare(session(f"prepare {settings.name}"), settings, overwrite)
    return Dataset.open(settings.output)


class Study:
    """A study: one that is to be run, or one that is there already.

    Attributes:
        settings: what it is told to do.
        folder: where it lies.
        ended: why the last `run` ended.
        problem: why MLflow does not show all of it, or None.
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
        self.problem: str | None = None

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
            tracked(session.folder, session.settings, session.dataset.manifest.name),
        ):
            self.ended = session.run(observe)
        if self.ended != INTERRUPTED:
            self.problem = self.publish(self.conclude())
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
        from glmix_automl.serving.model import Model

        history = self.history
        evaluation = self.evaluation(history)
        board = leaderboard(history, evaluation)
        board.write(self.folder.files)
        self._export(history, evaluation, board)
        score = Model(self.folder.files.within(MODEL)).score_block
        losses = permutation_importance(score, evaluation.dataset, self.settings.seed)
        report.write(self.folder.files, self.folder.name, self.folder.record, history, board, evaluation, losses)
        return board

    def _export(self, history: History, evaluation: Evaluation, board: Leaderboard) -> None:
        winner = board.rows[0]
        origin: dict[str, object] = {
            "study": self.folder.record.id,
            "name": self.folder.name,
            "digest": self.folder.record.digest,
        }
        origin |= {"trial": winner.trial, "entry": winner.entry, "model": winner.model}
        origin |= {"validation_auc": winner.validation_auc, "test_auc": winner.test_auc}
        model, target = evaluation.model(winner.trial), self.folder.files.within(MODEL)
        found = self._plan(history, winner.entry, model)
        origin |= {"plan": found.model_dump(mode="json")} if found is not None else {}
        export(self.folder.files, model, evaluation.dataset.schema, target, origin)

    def _plan(self, history: History, entry: str, model: Ensemble) -> Plan | None:
        """What rebuilds an entry's ensemble, its weights being those of the exported coordinates; None without one."""
        try:
            found = plan(history.trials, history.results, entry)
        except ValueError:
            return None
        kept = {f"{TRIALS}/{n}": f"{COORDINATES}/{n}" for n in model.pruned.members}
        members = (m.model_copy(update={"checkpoint": kept.get(str(m.checkpoint))}) for m in found.members)
        return found.model_copy(update={"members": tuple(members)})

    def publish(self, board: Leaderboard, seconds: float = 60.0) -> str | None:
        """Has MLflow show what `conclude` wrote, and what it missed of the trials; returns what went wrong, or None.

        Args:
            board: the leaderboard.
            seconds: how long to wait for the tracking server to catch up.
        """
        tracker = track(self.folder, self.settings, self.folder.record.dataset_name)
        if tracker is None:
            return None
        if not tracker.close(seconds) or tracker.parent is None:
            return tracker.problem or "the tracking server is slow"
        from glmix_automl.tracking.publish import publish

        try:
            publish(tracker.uri, tracker.parent, self.folder, self.history, board, self._model_files())
        except Exception as error:  # MLflow's view is never worth more than the study itself
            return f"{type(error).__name__}: {error}".strip().splitlines()[0]
        return None

    def _model_files(self) -> "ModelFiles":
        from glmix_automl.serving import pyfunc
        from glmix_automl.tracking.publish import ModelFiles

        schema = Dataset.open(self.settings.dataset).schema
        shard = Dataset.open(self.settings.dataset).shards("validation")[0]
        rows = next(pq.ParquetFile(shard.path, filesystem=shard.filesystem).iter_batches(EXAMPLE_ROWS)).to_pandas()
        return ModelFiles(
            self.folder.path / MODEL,
            pyfunc.__name__,
            pyfunc.code(),
            pyfunc.requirements(),
            pyfunc.signature(schema),
            pyfunc.example(schema, rows),
        )

    def champion(self) -> "Model":
        """The winning model, ready for raw rows: `champion().predict(frame)`.

        Raises:
            StudyError: no trial left a model.
        """
        from glmix_automl.serving.model import Model

        if not self.folder.files.exists(f"{MODEL}/{DESCRIPTION}"):
            self.conclude()
        return Model(self.folder.files.within(MODEL))

    def evaluation(self, history: History) -> Evaluation:
        """What judges this study's models on the test rows.

        Raises:
            DataError: the dataset cannot be read.
            StudyError: no trial left a model.
        """
        if history.best is None:
            raise StudyError(f"{self.folder.path}: no trial left a model, of {len(history.results)} that ended")
        return Evaluation(self.folder.open_dataset("validation", "test"), self.folder.files, history)

    def board(self) -> Leaderboard:
        """The leaderboard of what there is so far.

        Raises:
            DataError: the dataset or cached scores cannot be read.
            StudyError: no trial left a model.
        """
        history = self.history
        return leaderboard(history, self.evaluation(history))

    def leaderboard(self) -> "pd.DataFrame":
        """One row per entry of the race, the winner first; the columns are those of `study.leaderboard.Row`."""
        return self.board().frame()
