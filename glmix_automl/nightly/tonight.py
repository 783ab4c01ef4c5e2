"""What every step of a night works with: settings, key, folders, and the records of this night and those before it."""

from collections.abc import Callable
from dataclasses import dataclass

from glmix_automl.errors import StudyError
from glmix_automl.layout import DATA_REPORT_JSON, Folder
from glmix_automl.nightly import record
from glmix_automl.nightly.record import Night, Step
from glmix_automl.nightly.settings import NightSettings
from glmix_automl.prepare.checks import Report

DATASET, STUDY, SCORES = "dataset", "study", "scores"  # in the folder of a night


@dataclass
class Tonight:
    """One night at work.

    Attributes:
        settings: with dates filled.
        key: of the night.
        report: told what each step does, a line each.
    """

    settings: NightSettings
    key: str
    report: Callable[[str], None] = print

    def __post_init__(self) -> None:
        """Reads what earlier calls left."""
        self.home = Folder(self.settings.home)
        self.folder = self.home.within(self.key)
        self.night = Night.read(self.folder, self.key)

    def keep(self, name: str, step: Step) -> None:
        """Writes down what came of a step."""
        self.night = self.night.with_step(name, step)
        self.night.write(self.folder)

    def require(self, step: str) -> None:
        """Checks that a step is done.

        Raises:
            StudyError: it is not.
        """
        if not self.night.is_over(step):
            raise StudyError(f"{self.folder.uri}: step {step} is not done; run it first, or all steps")

    def earlier(self) -> list[Night]:
        """The records of nights before this one, the last first."""
        return [night for night in record.nights(self.home) if night.key < self.key]

    def data_report(self, key: str) -> Report:
        """What preparation said of a night's dataset."""
        return Report.model_validate_json(self.home.read(f"{key}/{DATASET}/{DATA_REPORT_JSON}"))
