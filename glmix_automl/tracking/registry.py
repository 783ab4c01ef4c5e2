"""MLflow's model registry as promotion needs it: versions of one name, and the alias `champion` on one of them."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from glmix_automl.errors import StudyError
from glmix_automl.layout import Folder
from glmix_automl.tracking.tracker import modest
from glmix_automl.tracking.view import STUDY_TAG, TRIAL_TAG

CHAMPION = "champion"
BEFORE = "glmix.champion_before"  # tag of a version that became champion: who was it until then; "" for nobody
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A registered model.

    Attributes:
        number: counts the versions of a name from 1.
        run: the study's run in MLflow.
        tags: of the version.
    """

    number: int
    run: str
    tags: Mapping[str, str]

    @property
    def before(self) -> int | None:
        """The champion that this one followed; None if it was the first, or never was one."""
        number = self.tags.get(BEFORE, "")
        return int(number) if number.isdecimal() else None


class Registry:
    """The versions of the registered model `name` on one MLflow server or store.

    Every method raises `StudyError` where the server cannot be reached or refuses; nothing is left half-done that the
    same call does not finish when it is made again.
    """

    def __init__(self, uri: str, name: str) -> None:
        modest()
        self.uri, self.name = uri, name
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def champion(self) -> Version | None:
        """The version that the alias is on; None where there is no such model, or no champion of it."""
        with self._explain("cannot be asked for its champion"):
            try:
                found = self._client.get_model_version_by_alias(self.name, CHAMPION)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise
        return _version(found)

    def aliased(self) -> list[Version]:
        """The versions that any alias is on."""
        with self._explain("cannot be asked for its aliases"):
            try:
                numbers = set(self._client.get_registered_model(self.name).aliases.values())
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return []
                raise
        found = (self.find(int(number)) for number in sorted(numbers))
        return [version for version in found if version is not None]

    def find(self, number: int) -> Version | None:
        """A version by its number; None where there is none."""
        with self._explain(f"cannot be asked for version {number}"):
            try:
                return _version(self._client.get_model_version(self.name, str(number)))
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise

    def register(self, run: str, model: str, study: str, trial: int) -> Version:
        """The version of a study's model, made if there is none.

        Args:
            run: the study's run, to which the model was logged.
            model: the model's name within the run.
            study: id of the study.
            trial: number of the trial behind the model.
        """
        with self._explain("cannot register the model"):
            with contextlib.suppress(MlflowException):  # it is there already
                self._client.create_registered_model(self.name)
            there = [_version(v) for v in self._client.search_model_versions(f"name = '{self.name}'")]
            for version in there:
                if version.tags.get(STUDY_TAG) == study and version.tags.get(TRIAL_TAG) == str(trial):
                    return version
            tags = {STUDY_TAG: study, TRIAL_TAG: str(trial)}
            source = self._logged(run, model)
            with self._everywhere():
                made = self._client.create_model_version(
                    self.name, f"models:/{source}", run_id=run, tags=tags, model_id=source
                )
            return _version(made)

    def _logged(self, run: str, model: str) -> str:
        """Id of the newest model of that name that was logged to a run."""
        found = [
            logged
            for logged in self._client.search_logged_models(
                [self._client.get_run(run).info.experiment_id], filter_string=f"source_run_id = '{run}'"
            )
            if logged.name == model
        ]
        if not found:
            raise StudyError(
                f"run {run} on {self.uri} holds no model {model!r}; log it with: glmix-automl report STUDY"
            )
        newest = max(found, key=lambda logged: logged.creation_timestamp)
        return str(newest.model_id)

    def describe(self, version: Version, tags: Mapping[str, str], text: str) -> None:
        """Sets tags and the description of a version."""
        with self._explain(f"cannot describe version {version.number}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, str(version.number), key, value)
            self._client.update_model_version(self.name, str(version.number), text)

    def crown(self, version: Version) -> None:
        """Moves the alias to a version; its tag says who had it before."""
        before = self.champion()
        with self._explain(f"cannot make version {version.number} the champion"):
            if before is None or before.number != version.number:
                number = "" if before is None else str(before.number)
                self._client.set_model_version_tag(self.name, str(version.number), BEFORE, number)
            self._client.set_registered_model_alias(self.name, CHAMPION, str(version.number))

    def roll_back(self) -> tuple[Version, Version]:
        """Gives the alias back to the champion before; returns the one that lost it and the one that has it.

        Raises:
            StudyError: there is no champion, or there was none before.
        """
        now = self.champion()
        if now is None:
            raise StudyError(f"{self.uri}: model {self.name!r} has no champion that could be rolled back")
        before = self.find(now.before) if now.before is not None else None
        if before is None:
            raise StudyError(
                f"{self.uri}: version {now.number} of model {self.name!r} had no champion before it; "
                "nothing to roll back to"
            )
        with self._explain(f"cannot roll back to version {before.number}"):
            self._client.set_registered_model_alias(self.name, CHAMPION, str(before.number))
        return now, before

    def download(self, version: Version, to: Path) -> Folder:
        """The exported model behind a version, copied into a local folder."""
        with self._explain(f"cannot hand out version {version.number}"), self._everywhere():
            place = f"models:/{self.name}/{version.number}"
            got = Path(mlflow.artifacts.download_artifacts(place, dst_path=str(to)))
        return model_folder(got)

    @contextlib.contextmanager
    def _everywhere(self) -> Iterator[None]:
        """What MLflow looks up by its global address, it looks up here while the block runs."""
        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])

    @contextlib.contextmanager
    def _explain(self, what: str) -> Iterator[None]:
        try:
            yield
        except StudyError:
            raise
        except Exception as error:  # MLflow raises its own errors, requests' and SQLAlchemy's
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise StudyError(
                f"{self.uri}: the model registry {what} ({self.name!r}): {reason}; nothing was half-done, try again"
            ) from error


def model_folder(logged: Path) -> Folder:
    """The exported model within a logged one.

    Raises:
        StudyError: it is no model of this system.
    """
    try:
        flavor = yaml.safe_load((logged / "MLmodel").read_text())["flavors"]["python_function"]
        return Folder(str(logged / flavor["data"]))
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise StudyError(f"{logged}: is no model that glmix-automl logged: {error!r}") from error


def _version(found: object) -> Version:
    return Version(int(found.version), str(found.run_id), dict(found.tags))  # type: ignore[attr-defined]
