"""Columns from what both ends have as attributes: each end's own, and what they share."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Nodes, compile_loop
from glmix_automl.prepare.pairs.attributes import Attribute, Bags


def both_ends(attribute: Attribute, left: Nodes, right: Nodes) -> dict[str, pa.Array]:
    """Columns [pairs] of one attribute: `left_x` and `right_x` as they are, and what the pair has.

    - Of a number `difference_x`, the distance of the two, null where one is missing.
    - Of a category `same_x`, 1 or 0, null where one is missing.
    - Of a bag the bags `shared_x` and `differing_x` (terms that only one end has) and numbers `shared_x_count`,
      `_jaccard` and `_rarity` (the sum over shared terms of log(nodes / nodes that have it)).
    """
    name, source = attribute.name, attribute.feature.source
    columns = {f"{end}_{source}": attribute.raw.take(pa.array(of)) for end, of in (("left", left), ("right", right))}
    if attribute.numbers is not None:
        gap = np.abs(attribute.numbers[left] - attribute.numbers[right])
        return {**columns, f"difference_{name}": pa.array(gap, mask=np.isnan(gap))}
    assert attribute.bags is not None, "what is no number is a category or bag"
    bags = attribute.bags
    if attribute.feature.kind == "categorical":
        has = np.diff(bags.starts) > 0
        code = np.full(len(has), -1, np.int32)
        code[has] = bags.codes
        same = (code[left] == code[right]).astype(np.float64)
        return {**columns, f"same_{name}": pa.array(same, mask=(code[left] < 0) | (code[right] < 0))}
    return {**columns, **_terms(bags, name, left, right)}


def _terms(bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, pa.Array]:
    counts = np.diff(bags.starts)
    either = counts[left] + counts[right]
    shared_starts, differing_starts = np.zeros(len(left) + 1, np.int64), np.zeros(len(left) + 1, np.int64)
    codes = np.empty(int(either.sum()), np.int32)
    shared, differing, rarity = _split(
        bags.starts, bags.codes, bags.rarity, left, right, shared_starts, differing_starts, codes.copy(), codes
    )
    both = np.diff(shared_starts)
    return {
        f"shared_{name}": bags.lists(shared_starts, shared),
        f"differing_{name}": bags.lists(differing_starts, differing),
        f"shared_{name}_count": pa.array(both.astype(np.float64)),
        f"shared_{name}_jaccard": pa.array(_share(both, either - both)),
        f"shared_{name}_rarity": pa.array(rarity),
    }


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@compile_loop
def _split(bag_starts, codes, rarity, left, right, shared_starts, differing_starts, shared, differing):  # type: ignore[no-untyped-def]
    """Merges the ascending terms of both ends: (codes of shared terms, of differing ones, sums of shared rarities)."""
    sums = np.zeros(len(left))
    both, one_only = 0, 0
    for pair in range(len(left)):
        one, one_end = bag_starts[left[pair]], bag_starts[left[pair] + 1]
        other, other_end = bag_starts[right[pair]], bag_starts[right[pair] + 1]
        while one < one_end or other < other_end:
            if other == other_end or (one < one_end and codes[one] < codes[other]):
                differing[one_only] = codes[one]
                one_only += 1
                one += 1
            elif one == one_end or codes[other] < codes[one]:
                differing[one_only] = codes[other]
                one_only += 1
                other += 1
            else:
                shared[both] = codes[one]
                sums[pair] += rarity[codes[one]]
                both += 1
                one += 1
                other += 1
        shared_starts[pair + 1], differing_starts[pair + 1] = both, one_only
    return shared[:both], differing[:one_only], sums
