"""Hashes of rows as Spark's `xxhash64` gives them, by numpy: a draw or a digest is the same wherever it is computed.

XXH64 (Collet 2012) with the hash of one column as the seed of the next, nulls skipped, an array as its elements. Draws
(splits, samples, buckets) and the digests of datasets are made of it, so every engine must agree to the last bit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.as_of import Ints

Hashes = npt.NDArray[np.uint64]
_SEED = 42
_P1, _P2, _P3, _P4, _P5 = map(
    np.uint64,
    (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5),
)
_SLICE = 32_768  # rows hashed at a time: what they need stays in the processor's cache
_PARTS = 2**30
BUCKETS = 65_536
"""Of ids, by hash: the grain in which rows are spread over partitions and shards."""


def row_hashes(columns: Sequence[pa.Array | pa.ChunkedArray], seed: int | None = None) -> Hashes:
    """One uint64 per row of the columns together: `xxhash64(columns...)`, after `xxhash64(lit(seed))` if given.

    Args:
        columns: of integers, floats, booleans, text, lists or structs of these.
        seed: a 32-bit integer that goes before the columns, or none.
    """
    arrays = [_whole(c) for c in columns]
    rows = len(arrays[0])
    state = np.full(rows, _SEED, np.uint64)
    for begin in range(0, rows, _SLICE):
        part = state[begin : begin + _SLICE]
        if seed is not None:
            wide = not -(2**31) <= seed < 2**31
            part = _word(part, np.full(len(part), seed, np.int64) if wide else np.full(len(part), seed, np.int32))
        for array in arrays:
            part = _chained(part, array.slice(begin, _SLICE))
        state[begin : begin + _SLICE] = part
    return state


def share(texts: pa.Array | pa.ChunkedArray, seed: int) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 per value of a text column, uniform, the same wherever it is computed: [rows]."""
    return (row_hashes([texts], seed) % np.uint64(_PARTS)).astype(np.float64) / float(_PARTS)


def keys_of(texts: pa.Array | pa.ChunkedArray, seed: int | None = None) -> Ints:
    """A number per id or value, the same wherever it is computed: two of a hundred million share one with odds of 1 in
    4,000.
    """
    return row_hashes([texts], seed).view(np.int64)


def buckets(ids: pa.Array | pa.ChunkedArray) -> Ints:
    """The bucket of each id: [rows], from 0 to `BUCKETS` - 1."""
    return buckets_of(keys_of(ids))


def buckets_of(keys: Ints) -> Ints:
    """The bucket of each id's key."""
    return (keys.view(np.uint64) % np.uint64(BUCKETS)).astype(np.int64)


def parts_of_buckets(bucket: Ints, parts: int) -> Ints:
    """The partition of each bucket of members: spans, so that shards of neighbouring buckets read few partitions."""
    return bucket * parts // BUCKETS


def parts_of_keys(keys: Ints, parts: int) -> Ints:
    """The partition of each key that is not a member's: remainders."""
    return (keys.view(np.uint64) % np.uint64(parts)).astype(np.int64)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    column = column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _chained(state: Hashes, array: pa.Array) -> Hashes:
    """The hashes after one more column."""
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _chained_lists(state, array)
    if pa.types.is_struct(kind):
        for part in array.flatten():
            state = _chained(state, part)
        return state
    if array.null_count:
        there = array.is_valid().to_numpy(zero_copy_only=False)
        state = state.copy()
        state[there] = _chained(state[there], array.drop_null())
        return state
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text(state, array)
    return _word(state, _bits(array))


def _bits(array: pa.Array) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """Numbers as the integers that are hashed: zero has one sign, NaN one form."""
    kind = array.type
    if pa.types.is_floating(kind):
        numbers = array.to_numpy(zero_copy_only=False)
        numbers = np.where(numbers == 0, numbers.dtype.type(0), numbers)
        numbers = np.where(np.isnan(numbers), numbers.dtype.type(np.nan), numbers)
        return numbers.view(np.int32) if numbers.dtype == np.float32 else numbers.view(np.int64)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    numbers = array.to_numpy(zero_copy_only=False)
    wide = numbers.dtype.itemsize == 8
    return numbers.astype(np.int64, copy=False) if wide else numbers.astype(np.int32, copy=False)


def _word(state: Hashes, values: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> Hashes:
    """XXH64 of four or eight bytes a row, seeded by `state`."""
    if values.dtype == np.int32:
        mixed = state + np.uint64(int(_P5) + 4)
        mixed ^= values.view(np.uint32).astype(np.uint64) * _P1
        mixed = _turned(mixed, 23)
        mixed *= _P2
        mixed += _P3
    else:
        mixed = _with_eight(state + np.uint64(int(_P5) + 8), values.view(np.uint64))
    return _finished(mixed)


def _text(state: Hashes, texts: pa.Array) -> Hashes:
    """XXH64 of the bytes of each text, seeded by `state`; rows of one length at a time."""
    content, offsets = _bytes(texts)
    # Words are read where they lie, at any offset; the padding keeps the last of them inside the buffer.
    words: Hashes = np.ndarray((len(content) - 7,), "<u8", content, strides=(1,))
    lengths = np.diff(offsets)
    result = np.empty_like(state)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        result[rows] = _of_length(state[rows], offsets[rows], int(length), words, content)
    return result


def _bytes(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of all texts, eight zeros after them, and where each text begins in them."""
    wide = pa.types.is_large_string(texts.type)
    _, offset_buffer, data = texts.buffers()
    kind, size = (np.int64, 8) if wide else (np.int32, 4)
    offsets = np.frombuffer(offset_buffer, kind, len(texts) + 1, texts.offset * size).astype(np.int64)
    used = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else np.empty(0, np.uint8)
    return np.concatenate([used, np.zeros(8, np.uint8)]), offsets - offsets[0]


def _of_length(
    seed: Hashes, starts: npt.NDArray[np.int64], length: int, words: Hashes, content: npt.NDArray[np.uint8]
) -> Hashes:
    at = starts.copy()
    left = length
    if length >= 32:
        lanes = [seed + _P1 + _P2, seed + _P2, seed.copy(), seed - _P1]
        while left >= 32:
            for number in range(4):
                lanes[number] = _turned(lanes[number] + words[at + 8 * number] * _P2, 31) * _P1
            at += 32
            left -= 32
        state = _turned(lanes[0], 1) + _turned(lanes[1], 7) + _turned(lanes[2], 12) + _turned(lanes[3], 18)
        for lane in lanes:
            state = (state ^ (_turned(lane * _P2, 31) * _P1)) * _P1 + _P4
    else:
        state = seed + _P5
    state = state + np.uint64(length)
    while left >= 8:
        state = _with_eight(state, words[at])
        at += 8
        left -= 8
    if left >= 4:
        state = _turned(state ^ ((words[at] & np.uint64(0xFFFFFFFF)) * _P1), 23) * _P2 + _P3
        at += 4
        left -= 4
    for _ in range(left):
        state = _turned(state ^ (content[at].astype(np.uint64) * _P5), 11) * _P1
        at += 1
    return _finished(state)


def _chained_lists(state: Hashes, array: pa.Array) -> Hashes:
    """Elements of a list one after the other; the rows that have a k-th element are a prefix, longest lists first."""
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    elements = array.flatten()
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths, sorted_starts, sorted_state = lengths[order], starts[order], state[order]
    plain = not (elements.null_count or pa.types.is_nested(elements.type) or pa.types.is_string(elements.type))
    bits = _bits(elements) if plain else None
    for number in range(int(lengths.max(initial=0))):
        rows = int(np.searchsorted(-sorted_lengths, -number, side="left"))
        at = sorted_starts[:rows] + number
        here = sorted_state[:rows]
        changed = _word(here, bits[at]) if bits is not None else _chained(here, elements.take(pa.array(at)))
        sorted_state[:rows] = changed
    result = np.empty_like(state)
    result[order] = sorted_state
    return result


def _with_eight(state: Hashes, words: Hashes) -> Hashes:
    mixed = _turned(words * _P2, 31)
    mixed *= _P1
    mixed ^= state
    mixed = _turned(mixed, 27)
    mixed *= _P1
    mixed += _P4
    return mixed


def _turned(state: Hashes, by: int) -> Hashes:
    turned = state << np.uint64(by)
    turned |= state >> np.uint64(64 - by)
    return turned


def _finished(state: Hashes) -> Hashes:
    state ^= state >> np.uint64(33)
    state *= _P2
    state ^= state >> np.uint64(29)
    state *= _P3
    state ^= state >> np.uint64(32)
    return state
