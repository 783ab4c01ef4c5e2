"""Blocks of a dataset larger than memory, one after the other, the next one read while the present one is used."""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from glmix_automl.dataset.block import Block
from glmix_automl.dataset.builder import BlockBuilder, block_columns
from glmix_automl.dataset.shard import ShardFile
from glmix_automl.dataset.share import Share, count_rows, pick_rows
from glmix_automl.schema import Schema
from glmix_automl.seeds import generator

BLOCKS_HELD = 3  # the user's, the next one, and its shuffled copy
DECODING_BYTES = 3_000_000  # per column: the page and the dictionary that Arrow decodes, whatever the rows
_BATCH = 16_384  # rows decoded at a time: little beside a block, enough for Arrow to be near full speed


def stream_blocks(
    schema: Schema,
    shards: Sequence[ShardFile],
    share: Share,
    blocks: int,
    order: int | None,
    codes: Mapping[str, np.ndarray],
) -> Iterator[Block]:
    """The rows of a share in `blocks` blocks of even size; `Dataset.stream` says what the arguments mean."""
    sizes = np.diff(np.arange(blocks + 1) * len(share) // blocks)
    return read_ahead(_built(schema, _parts(schema, shards, share, order), sizes, order, codes))


def read_ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Gives what `blocks` gives, made in a thread of its own, never more than one ahead of its user.

    The thread ends when the user stops early, and an error in it is raised where the block is asked for.
    """
    ready: queue.SimpleQueue[Block | BaseException | None] = queue.SimpleQueue()
    turn = threading.Semaphore(1)
    stopped = threading.Event()

    def work() -> None:
        try:
            while turn.acquire() and not stopped.is_set():
                block = next(blocks, None)
                ready.put(block)
                if block is None:
                    return
                del block  # while the next one is made, only the user holds this one
        except BaseException as error:
            ready.put(error)
        finally:
            blocks.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (block := ready.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            turn.release()
            yield block
    finally:
        stopped.set()
        turn.release()
        thread.join()


def _parts(
    schema: Schema, shards: Sequence[ShardFile], share: Share, order: int | None
) -> Iterator[tuple[pa.Table, np.ndarray, str]]:
    """(rows, their places in the split, file) of the share, small tables at a time."""
    pieces = [(shard, group, first, count) for shard in shards for group, (first, count) in enumerate(shard.groups)]
    pieces = [piece for piece in pieces if count_rows(share.cut(piece[2], piece[3])[1])]
    if order is not None:
        pieces = [pieces[place] for place in generator(order, "pieces").permutation(len(pieces))]
    columns = block_columns(schema)
    for shard, group, first, _ in pieces:
        for batch in shard.batches(columns, group, _BATCH):
            rows = share.cut(first, batch.num_rows)[1]
            if count_rows(rows):
                table = pick_rows(batch, rows)
                places = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
                yield table, first + places, shard.path
            first += batch.num_rows


def _built(
    schema: Schema,
    parts: Iterator[tuple[pa.Table, np.ndarray, str]],
    sizes: np.ndarray,
    order: int | None,
    codes: Mapping[str, np.ndarray],
) -> Iterator[Block]:
    """Blocks of the given sizes from the parts, cut where a block is full."""
    table, places, path = pa.table({}), np.empty(0, np.int64), ""
    for number, size in enumerate(sizes):
        builder, rows, filled = BlockBuilder(schema, int(size)), np.empty(size, np.int64), 0
        while filled < size:
            if not len(places):
                table, places, path = next(parts)
            count = min(int(size) - filled, len(places))
            builder.fill(filled, table.slice(0, count), path)
            rows[filled : filled + count] = places[:count]
            table, places, filled = table.slice(count), places[count:], filled + count
        block = builder.build(rows, {name: of_row[rows] for name, of_row in codes.items()})
        del builder
        yield block if order is None else block.take(generator(order, "rows", number).permutation(len(block)))
