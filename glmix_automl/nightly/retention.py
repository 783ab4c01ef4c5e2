"""Which nights are kept: the last few, and those that a model or the next night needs."""

from collections.abc import Iterable, Iterator

from glmix_automl.layout import Folder
from glmix_automl.nightly import record
from glmix_automl.nightly.record import Night
from glmix_automl.nightly.tonight import STUDY
from glmix_automl.study.folder import StudyFolder
from glmix_automl.tracking.registry import STUDY_TAG, Registry


def prune(home: Folder, keep: int, until: str | None = None) -> list[str]:
    """Removes nights beyond the last `keep`; gives their keys.

    Kept besides: the night of every version that an alias is on, the last night that passed the gate, which the next is
    compared with, and the last that has a model, which the next is trained from.

    Args:
        home: folder of the nights.
        keep: how many; 1 or more.
        until: key of the last night to count; all nights if None.

    Raises:
        StudyError: the registry cannot be asked which versions have an alias; nothing was removed.
    """
    there = [night for night in record.nights(home) if until is None or night.key <= until]
    needed = {night.key for night in there[:keep]} | set(_needed(home, there))
    removed = [night.key for night in there if night.key not in needed]
    for key in removed:
        home.remove(key)
    return removed


def _needed(home: Folder, there: Iterable[Night]) -> Iterator[str]:
    nights = list(there)
    for step in ("gate", "search"):
        yield from [night.key for night in nights if night.is_over(step)][:1]
    aliased = {
        version.tags.get(STUDY_TAG)
        for uri, name in {
            (n.found("promote")["uri"], n.found("promote")["name"]) for n in nights if n.is_over("promote")
        }
        for version in Registry(uri, name).aliased()
    }
    for night in nights:
        study = StudyFolder(home.within(f"{night.key}/{STUDY}").uri)
        if study.begun and study.record.id in aliased:
            yield night.key
