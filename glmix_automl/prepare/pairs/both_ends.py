"""Columns from what both ends have as attributes: each end's own, and what they share."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Nodes, Numbers, compile_loop
from glmix_automl.prepare.pairs.attributes import Attribute, Bags


def both_ends(attribute: Attribute, left: Nodes, right: Nodes) -> dict[str, pa.Array]:
    """Columns [pairs] of one attribute: `left_x` and `right_x` as they are, and what the pair has.

    - Of a number `difference_x`, the distance of the two, null where one is missing.
    - Of a category `same_x`, 1 or 0, null where one is missing.
    - Of a bag the bags `shared_x` and `differing_x` (terms that only one end has) and numbers `shared_x_count`,
      `_jaccard` and `_rarity` (the sum over shared terms of log(nodes / nodes that have it)). Of a weighted one the
      values of shared terms are the products of both ends', those of differing terms the one's who has it, and
      `shared_x_cosine` is the cosine of both ends' values, 0 where there are none.
    """
    name, source = attribute.name, attribute.feature.source
    columns = {f"{end}_{source}": attribute.raw.take(pa.array(of)) for end, of in (("left", left), ("right", right))}
    if attribute.numbers is not None:
        gap = np.abs(attribute.numbers[left] - attribute.numbers[right])
        return {**columns, f"difference_{name}": pa.array(gap, mask=np.isnan(gap))}
    assert attribute.bags is not None, "what is no number is a category or bag"
    bags = attribute.bags
    if attribute.feature.kind == "categorical":
        code = bags.single
        same = (code[left] == code[right]).astype(np.float64)
        return {**columns, f"same_{name}": pa.array(same, mask=(code[left] < 0) | (code[right] < 0))}
    return {**columns, **_terms(bags, name, left, right)}


def _terms(bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, pa.Array]:
    either = bags.starts[left + 1] - bags.starts[left] + bags.starts[right + 1] - bags.starts[right]
    shared_starts, differing_starts = np.zeros(len(left) + 1, np.int64), np.zeros(len(left) + 1, np.int64)
    places = np.empty(int(either.sum()), np.int64)
    shared, others, differing, rarity = _split(
        bags.starts, bags.codes, bags.rarity, left, right, shared_starts, differing_starts, places
    )
    both = np.diff(shared_starts)
    products = alone = None
    if bags.values is not None:
        products, alone = bags.values[shared] * bags.values[others], bags.values[differing]
    columns = {
        f"shared_{name}": bags.lists(shared_starts, bags.codes[shared], products),
        f"differing_{name}": bags.lists(differing_starts, bags.codes[differing], alone),
        f"shared_{name}_count": pa.array(both.astype(np.float64)),
        f"shared_{name}_jaccard": pa.array(_share(both, either - both)),
        f"shared_{name}_rarity": pa.array(rarity),
    }
    if products is not None:
        sums = np.bincount(np.repeat(np.arange(len(left)), both), products, len(left))
        columns[f"shared_{name}_cosine"] = pa.array(_share(sums, bags.lengths[left] * bags.lengths[right]))
    return columns


def _share(part: Numbers | NDArray[np.int64], whole: Numbers | NDArray[np.int64]) -> Numbers:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@compile_loop
def _split(bag_starts, codes, rarity, left, right, shared_starts, differing_starts, differing):  # type: ignore[no-untyped-def]
    """Merges the ascending terms of both ends: (places of the entries of shared terms, at the one end and the other,
    those of differing ones, sums of shared rarities).
    """
    sums = np.zeros(len(left))
    shared, others = np.empty_like(differing), np.empty_like(differing)
    both, one_only = 0, 0
    for pair in range(len(left)):
        one, one_end = bag_starts[left[pair]], bag_starts[left[pair] + 1]
        other, other_end = bag_starts[right[pair]], bag_starts[right[pair] + 1]
        while one < one_end or other < other_end:
            if other == other_end or (one < one_end and codes[one] < codes[other]):
                differing[one_only] = one
                one_only += 1
                one += 1
            elif one == one_end or codes[other] < codes[one]:
                differing[one_only] = other
                one_only += 1
                other += 1
            else:
                shared[both], others[both] = one, other
                sums[pair] += rarity[codes[one]]
                both += 1
                one += 1
                other += 1
        shared_starts[pair + 1], differing_starts[pair + 1] = both, one_only
    return shared[:both], others[:both], differing[:one_only], sums
