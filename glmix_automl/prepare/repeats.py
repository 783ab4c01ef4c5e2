"""Rows that share a uid: found where uids lie together, refused, or dropped where the rows lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.prepare.exchange import Spread, read_part, spread
from glmix_automl.prepare.stage import UID, Staging


@dataclass(frozen=True)
class Repeats:
    """Rows whose uid another row has, all but one of each.

    Attributes:
        dropped: `file` and `place` of them, by partition.
        rows: how many.
        example: the first of the uids.
    """

    dropped: Spread
    rows: int
    example: str


def repeated_uids(work: Staging, files: Sequence[Spread], part: int) -> Repeats | None:
    """Looks for rows that share a uid, in one partition of uids: of each, the one with the least hash of the row stays.

    Args:
        work: what is prepared.
        files: uids, a file for each of the rows' files.
        part: the partition.
    """
    table, file = read_part(work.folder, files, part)
    if table is None:
        return None
    key = table["key"].to_numpy()
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    if not same.any():
        return None
    rows = order[np.concatenate([[False], same]) | np.concatenate([same, [False]])]
    found = table.take(pa.array(rows)).append_column("file", pa.array(file[rows]))
    # Texts of equal hashes decide: two uids may share a hash.
    keys = [(UID, "ascending"), *([("everything", "ascending")] if work.repeats else [])]
    found = found.sort_by(keys)
    uid = found[UID].combine_chunks().dictionary_encode().indices.to_numpy()
    gone = found.filter(pa.array(np.concatenate([[False], uid[1:] == uid[:-1]])))
    if not gone.num_rows:
        return None
    dropped, _ = spread(work.folder, gone.select(["file", "place"]), gone["origin"].to_numpy(), work.parts)
    return Repeats(dropped, gone.num_rows, pc.min(gone[UID]).as_py())


def refuse_repeats(found: Sequence[Repeats], column: str, where: str) -> None:
    """Raises for rows that repeat a uid.

    Raises:
        DataError: how many there are, an example, and the remedy.
    """
    raise DataError(
        f"{where}: {sum(r.rows for r in found)} rows repeat a uid of column {column!r}, for example "
        f"{min(r.example for r in found)!r}; mend them, or set `interactions.duplicates: drop`"
    )
