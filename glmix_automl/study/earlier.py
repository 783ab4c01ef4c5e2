"""An earlier study, or a model, that a replay names as its plan is read once, when a new study is made; what it told is
kept in the settings.
"""

import json
import logging
from pathlib import Path

from glmix_automl.config import parse
from glmix_automl.errors import ConfigError, GlmixError
from glmix_automl.layout import COORDINATE, DESCRIPTION, SCHEMA, WEIGHTS, Folder
from glmix_automl.search import STRATEGIES
from glmix_automl.search.growth.structure import Plan, plan
from glmix_automl.search.replay import ReplayOptions
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.settings import EntrySettings, SearchSettings

log = logging.getLogger(__name__)


def with_plans(settings: SearchSettings, begun: SearchSettings | None) -> SearchSettings:
    """The settings with the plan of every folder that a replay names, and the weights it begins from looked for.

    Args:
        settings: as configured.
        begun: settings of a study that is to go on: the plan it read when it began stays its plan.

    Raises:
        ConfigError: there is no such folder, it found no structure or several, or weights to begin from are not there.
    """
    race = {name: _entry(name, entry, begun) for name, entry in settings.race.items()}
    return settings.model_copy(update={"race": race})


def _entry(name: str, entry: EntrySettings, begun: SearchSettings | None) -> EntrySettings:
    if entry.strategy not in STRATEGIES or STRATEGIES[entry.strategy].options is not ReplayOptions:
        return entry
    options = parse(entry.options, ReplayOptions, f"race.{name}")
    before = begun.race.get(name) if begun is not None else None
    if isinstance(options.plan, str) and not Path(options.plan).is_file():
        folder = options.plan if "://" in options.plan else str(Path(options.plan).absolute())
        known = before.options.get("plan") if before is not None else None
        if isinstance(known, dict) and known.get("origin") == folder:
            return entry.model_copy(update={"plan": known})
        found = _read(f"race.{name}.plan", folder, options.entry)
        log.info("plan from=%s members=%s", folder, len(found.members))
        entry = entry.model_copy(update={"plan": found.model_dump(mode="json")})
    if options.warm_start and before is None:
        _look(f"race.{name}.warm_start", parse(entry.options, ReplayOptions, f"race.{name}").load())
    return entry


def _read(where: str, folder: str, entry: str | None) -> Plan:
    """The plan of a study or model, its weights in that folder."""
    try:
        if "://" not in folder and StudyFolder(folder).begun:
            found = _of_study(where, StudyFolder(folder), entry)
        elif Folder(folder).exists(DESCRIPTION):
            found = _of_model(where, Folder(folder))
        else:
            raise ConfigError(
                f"{where}: {folder}: there is no study or exported model here, nor a file; name the folder of an "
                "earlier study or of its model, or a file that holds a plan"
            )
    except ConfigError:
        raise
    except GlmixError as error:
        raise ConfigError(f"{where}: {error}") from error
    return found.model_copy(update={"origin": folder})


def _of_study(where: str, folder: StudyFolder, entry: str | None) -> Plan:
    history, race = folder.history(), folder.record.settings.race
    if entry is not None and entry not in race:
        raise ConfigError(f"{where}: study {folder.path}: has no entry {entry!r}; there are {', '.join(race)}")
    found: dict[str, Plan] = {}
    for name in race if entry is None else (entry,):
        try:
            found[name] = plan(history.trials, history.results, name)
        except ValueError:
            continue
    if not found:
        whose = "no entry of its race" if entry is None else f"its entry {entry!r}"
        raise ConfigError(f"{where}: study {folder.path}: {whose} has found an ensemble by growth or replay")
    if len(found) > 1:
        raise ConfigError(
            f"{where}: study {folder.path}: several entries found an ensemble; say which with `entry`: "
            f"{', '.join(found)}"
        )
    return next(iter(found.values()))


def _of_model(where: str, folder: Folder) -> Plan:
    try:
        described = json.loads(folder.read(DESCRIPTION)).get("origin", {}).get("plan")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: {folder.path(DESCRIPTION)}: is not a model's description: {error}") from error
    if described is None:
        raise ConfigError(f"{where}: {folder.path(DESCRIPTION)}: holds no plan: the model was not found by growth")
    return parse(described, Plan, f"{where}: {folder.path(DESCRIPTION)}")


def _look(where: str, found: Plan) -> None:
    """Sees that the weights are there before there are workers.

    Raises:
        ConfigError: which file is not.
    """
    origin = Folder(found.origin or "")
    folders = [member.checkpoint for member in found.members if member.checkpoint is not None]
    for name in (SCHEMA, *(f"{folder}/{file}" for folder in folders for file in (WEIGHTS, COORDINATE))):
        if not origin.exists(name):
            raise ConfigError(
                f"{where}: {origin.path(name)} is not there, which members would begin from; restore it, name another "
                "study or model as the plan, or leave warm_start out"
            )
