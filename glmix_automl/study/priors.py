"""Earlier studies named in a race are read once, when a new study is made; what they told is kept in its settings."""

import logging
from collections.abc import Sequence
from typing import Any

from glmix_automl.config import parse
from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError, GlmixError
from glmix_automl.search import STRATEGIES
from glmix_automl.search.entry import SpaceWork
from glmix_automl.search.transfer import Prior, drift, observations
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.settings import EntrySettings, SearchSettings

UNKNOWN_DRIFT = 0.25  # of a dataset that is no longer there: the border of much

log = logging.getLogger(__name__)


def with_priors(settings: SearchSettings, dataset: Dataset, begun: SearchSettings | None) -> SearchSettings:
    """The settings with the observations of every study that an entry names as a prior, and the drift since.

    Args:
        settings: as configured.
        dataset: of the new study.
        begun: settings of a study that is to go on: what it read when it began stays what it knows.

    Raises:
        ConfigError: a prior is no study, or has no trial in the entry's space.
    """
    race = {name: _entry(name, entry, dataset, begun) for name, entry in settings.race.items()}
    return settings.model_copy(update={"race": race})


def _entry(name: str, entry: EntrySettings, dataset: Dataset, begun: SearchSettings | None) -> EntrySettings:
    given = entry.options.get("prior")
    if not isinstance(given, list | tuple) or entry.strategy not in STRATEGIES:
        return entry  # nothing, or what the strategy's own check refuses
    before = begun.race.get(name) if begun is not None else None
    if before is not None and _studies(before.options.get("prior")) == _studies(given):
        return entry.model_copy(update={"prior": before.options["prior"]})
    work = parse(entry.options, STRATEGIES[entry.strategy].options, f"race.{name}")
    priors: Sequence[Prior] = getattr(work, "prior", ())
    if not isinstance(work, SpaceWork):
        return entry
    read = [_read(name, work, prior, dataset) for prior in priors]
    return entry.model_copy(update={"prior": [prior.model_dump(mode="json") for prior in read]})


def _studies(priors: Any) -> list[str]:
    return [str(prior.get("study", "")) for prior in priors or () if isinstance(prior, dict)]


def _read(name: str, work: SpaceWork, prior: Prior, dataset: Dataset) -> Prior:
    if prior.observations or not prior.study:
        return prior
    where = f"race.{name}.prior: study {prior.study}"
    folder = StudyFolder(prior.study)
    try:
        record, history = folder.record, folder.history()
    except GlmixError as error:
        raise ConfigError(f"{where}: {error}") from error
    found = observations(work, history.trials.values(), history.results.values())
    if not found:
        raise ConfigError(f"{where}: none of its {len(history.results)} trials lies in this entry's space")
    moved = _drift(record, dataset) if prior.drift is None else prior.drift
    log.info("prior study=%s observations=%s drift=%.3f", prior.study, len(found), moved)
    return prior.model_copy(update={"study": str(folder.path), "observations": found, "drift": moved})


def _drift(record: StudyRecord, dataset: Dataset) -> float:
    if record.digest == dataset.digest:
        return 0.0
    try:
        return drift(Dataset.open(record.settings.dataset).schema, dataset.schema)
    except GlmixError as error:
        log.warning("drift unknown dataset=%s taken_as=%s reason=%s", record.settings.dataset, UNKNOWN_DRIFT, error)
        return UNKNOWN_DRIFT
