"""The past of a partition's rows, block by block: first what needs no models of items, then what they add."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from glmix_automl.prepare.blocks import cuts_of, in_blocks
from glmix_automl.prepare.exchange import Spread, read_batch, write_batches
from glmix_automl.prepare.followed import effects_of
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.member_past import Past
from glmix_automl.prepare.priors import Priors
from glmix_automl.prepare.stage import LABEL, TIME, Staging
from glmix_automl.prepare.together.describe import FittedItems, write_last
from glmix_automl.prepare.together.describe import columns as together
from glmix_automl.prepare.together.look_back import LAST_SEEN
from glmix_automl.prepare.together.sample import draw, write_drawn


@dataclass(frozen=True)
class Described:
    """The past of a partition's rows: files of columns and effects, one for each block (None of a block without rows),
    and a file of the rows that models of items are fitted on, if any are.
    """

    paths: tuple[str | None, ...]
    drawn: str | None


def describe(
    work: Staging,
    rows: Sequence[Spread],
    answers: tuple[Sequence[Spread], Sequence[Spread]],
    priors: Priors,
    sampled: float,
    part: int,
) -> Described | None:
    """Writes the past of a partition's rows, and draws a share of its members to fit models of items on.

    Args:
        work: what is prepared.
        rows: of all partitions.
        answers: of `history.items_step` and `attributes_step`.
        priors: of every day.
        sampled: the share.
        part: the partition.
    """
    wanted = work.history
    if wanted is None or not any(f.rows[part] for f in rows):
        return None
    past = Past(wanted, priors, part, work.parts, named=True)
    paths: list[str | None] = []
    drawn = []
    cuts = cuts_of(work.folder, rows, part, TIME, work.held_rows)
    blocks = (in_blocks(work.folder, files, part, TIME, cuts) for files in (rows, *answers))
    for block, *found_of in zip(*blocks, strict=True):
        if block is None:
            paths.append(None)
            continue
        items, attributes = (each.rows if each is not None else None for each in found_of)
        found, effects = past.of(block, items, attributes)
        paths.append(write_batches(work.folder, [pa.table({**found, **effects})]))
        if wanted.fits_items:
            drawn.append(draw(block.rows, effects, sampled))
    past.write(work.out)
    return Described(tuple(paths), write_drawn(work.folder, drawn, effects_of(wanted)) if drawn else None)


class LookingBack:
    """The columns of history of a partition's rows block by block, those from models of items among them."""

    def __init__(self, work: Staging, described: Described | None, fitted: FittedItems | None, part: int) -> None:
        assert work.history is not None
        self._work, self._wanted, self._part = work, work.history, part
        self._described = described
        self._models = {} if fitted is None else fitted.every()
        self._last: pa.Table | None = None
        """The last rows of each member so far, with their effects."""

    def columns(self, number: int, rows: pa.Table) -> dict[str, pa.Array]:
        """Of a block's rows."""
        path = self._described.paths[number] if self._described is not None else None
        assert path is not None, "a block with rows was described"
        batch = read_batch(self._work.folder, path, 0)
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self._wanted.fits_items:
            names = effects_of(self._wanted)
            every = rows.select(["key", "other", "e0", "e1", TIME, LABEL])
            for name in names:
                every = every.append_column(name, found.pop(name))
            before = 0 if self._last is None else self._last.num_rows
            every = every if self._last is None else pa.concat_tables([self._last, every])
            effects = {n: every[n].to_numpy() for n in names}
            made, looked = together(self._wanted, self._models, every, effects, every[LABEL].to_numpy() != ASKS)
            found |= {name: column[before:] for name, column in made.items()}
            self._last = every.take(pa.array(looked.last(LAST_SEEN)))
        return found

    def write(self) -> None:
        """Keeps the last rows of the members."""
        if self._last is not None:
            write_last(self._work.out, self._part, self._last)
