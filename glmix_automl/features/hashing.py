"""A hash of text that is the same in every process, on every machine and in every version: 64-bit FNV-1a, finished by
MurmurHash3's mixer so that its low bits are usable modulo any number of buckets.

Python's own hash is salted per process and Spark's is not to be had where a model runs without it.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)


def hash_texts(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """One uint64 per text of a string array without nulls: [rows].

    Works byte position by byte position over all texts at once, on distinct texts only, so its cost goes with the
    number of distinct bytes and not with rows.
    """
    encoded = texts.dictionary_encode()
    return _hash_distinct(encoded.dictionary)[encoded.indices.to_numpy(zero_copy_only=False)]


def _hash_distinct(texts: pa.Array) -> npt.NDArray[np.uint64]:
    array = texts.cast(pa.large_string())
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64, len(array) + 1, array.offset * 8)
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    longest_first = np.argsort(-lengths, kind="stable")
    starts, sorted_lengths = starts[longest_first], -lengths[longest_first]
    state = np.full(len(array), _OFFSET, np.uint64)
    for position in range(int(lengths.max(initial=0))):
        reaching = int(np.searchsorted(sorted_lengths, -position, side="left"))  # texts longer than `position`
        state[:reaching] ^= content[starts[:reaching] + position]
        state[:reaching] *= _PRIME
    result = np.empty_like(state)
    result[longest_first] = _mixed(state)
    return result


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser."""
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        state = (state ^ (state >> np.uint64(33))) * factor
    return state ^ (state >> np.uint64(33))
