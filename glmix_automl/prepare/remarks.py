"""What preparation says of the raw data beside counts: what it took for granted, and what looks wrong."""

from dataclasses import dataclass, field
from typing import NamedTuple

from glmix_automl.errors import DataError

_FEW = 0.5


@dataclass
class Remarks:
    """Lines for the data report, in the order they were found.

    Attributes:
        notes: what was guessed or noticed (the unit of times, the share of ids that joined); no action is needed.
        warnings: what a person should look at.
    """

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Found(NamedTuple):
    """How the ids of the interactions met those of a table.

    Attributes:
        ids: distinct ids of the interactions.
        unknown: those of them without a row in the table.
        here: the first of these, if there is one.
        there: the first id of the table that no interaction has, if there is one.
    """

    ids: int
    unknown: int
    here: str | None
    there: str | None


def report_join(where: str, key: str, own: str, found: Found, remarks: Remarks) -> None:
    """Says which share of the interactions' ids has a row in a table, with a warning where it is small.

    Args:
        where: the table, for messages.
        key: its column of ids.
        own: the interactions' column of ids.
        found: the counts.
        remarks: are added to.

    Raises:
        DataError: none has one: with an example of either side.
    """
    if found.ids and found.unknown == found.ids:
        raise DataError(
            f"{where}: none of {found.ids:,} ids of column {own!r} has a row there by {key!r}: for example "
            f"{found.here!r} in the interactions, {found.there!r} in the table; name the right `key`, or write them "
            "alike by `types` or `derive` (ids are compared as text, case and leading zeros included)"
        )
    said = f"{where}: {found.ids - found.unknown:,} of {found.ids:,} ids of {own!r} have a row"
    remarks.notes.append(said)
    if found.unknown > _FEW * found.ids:
        remarks.warnings.append(f"{said}, the others have no attributes: for example {found.here!r}")
