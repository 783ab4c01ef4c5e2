"""What is known of pairs against dense matrices, and against links that must not be seen."""

import itertools
import math
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from glmix_automl.features.hashing import hash_texts
from glmix_automl.prepare.pairs import neighbours, projection
from glmix_automl.prepare.pairs.adjacency import Adjacency
from glmix_automl.prepare.pairs.attributes import Attribute, attribute
from glmix_automl.prepare.pairs.candidates import Hands, Wanted, examples, most_wanted, turn
from glmix_automl.prepare.pairs.describe import Columns, Network, declared, pair_columns
from glmix_automl.prepare.pairs.example_rows import LABEL, ExampleRows
from glmix_automl.prepare.pairs.walks import paths_left_out, sampling_error, walks
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature

FEATURES = (
    NumericFeature(source="age"),
    CategoricalFeature(source="city"),
    BagFeature(source="tags"),
)


def linked(nodes: int, links: int, seed: int = 0) -> list[tuple[int, int]]:
    """Links of nodes in three groups mostly, a few of them hubs."""
    random = np.random.default_rng(seed)
    found: set[tuple[int, int]] = set()
    while len(found) < links:
        one, other = (int(n) for n in nodes * random.random(2) ** 1.3)
        if one != other and (one % 3 == other % 3 or random.random() < 0.3):
            found.add((min(one, other), max(one, other)))
    return sorted(found)


def ids(nodes: int) -> pa.Array:
    return pa.array([f"n{node:05d}" for node in range(nodes)])


def adjacency(pairs: list[tuple[int, int]], nodes: int) -> Adjacency:
    ends = np.array(pairs, np.int32).reshape(-1, 2)
    return Adjacency.of(ends[:, 0], ends[:, 1], nodes)


def attributes(nodes: int) -> tuple[Attribute, ...]:
    random = np.random.default_rng(9)
    age = [None if node % 11 == 0 else float(random.integers(20, 60)) for node in range(nodes)]
    city = [None if node % 13 == 0 else "abc"[(node + node // 7) % 3] for node in range(nodes)]
    tags = [sorted({f"t{random.integers(0, 12)}" for _ in range(random.integers(0, 5))}) for _ in range(nodes)]
    return tuple(attribute(f, pa.array(c), nodes) for f, c in zip(FEATURES, (age, city, tags), strict=True))


def known(pairs: list[tuple[int, int]], nodes: int, **columns: Any) -> Network:
    keys = hash_texts(ids(nodes))
    return Network.of(adjacency(pairs, nodes), keys, attributes(nodes), Columns(**columns), False, seed=3)


def apart(pairs: list[tuple[int, int]], nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs that are not linked."""
    linked_ones = set(pairs)
    chosen = np.array([p for p in combinations(range(nodes), 2) if p not in linked_ones], np.int32)
    return chosen[:, 0].copy(), chosen[
        :, 1
    ].copy()  # in one piece, as the product has them: loops are compiled by layout


def test_every_number_is_what_dense_matrices_say() -> None:
    nodes, pairs = 50, linked(50, 180)
    network = known(pairs, nodes)
    left, right = apart(pairs, nodes)
    found = {name: c.to_numpy(zero_copy_only=False) for name, c in _numbers(pair_columns(network, left, right)).items()}
    A = np.zeros((nodes, nodes))
    for one, other in pairs:
        A[one, other] = A[other, one] = 1
    degree = A.sum(axis=1)
    with np.errstate(divide="ignore"):
        inverse, root = np.where(degree > 0, 1 / degree, 0), np.where(degree > 0, degree**-0.5, 0)
    scale = np.outer(root, root)
    three = A @ np.diag(inverse) @ A @ np.diag(inverse) @ A
    l3 = A @ np.diag(root) @ A @ np.diag(root) @ A
    clustering = np.diag(A @ A @ A) / np.maximum(degree * (degree - 1), 1)
    around = (A @ degree) * inverse
    expected = {
        "common_neighbours": A @ A,
        "resource_allocation": A @ np.diag(inverse) @ A,
        "walk_2": 1e6 * (A @ np.diag(inverse) @ A) * scale,
        "paths_3": A @ A @ A,
        "allocation_3": 1e6 * three,
        "allocation_3_scaled": 1e6 * three * scale,
        "l3": l3,
        "l3_scaled": 1e6 * l3 * scale,
        "left_clustering": np.tile(clustering[:, None], nodes),
        "right_clustering": np.tile(clustering, (nodes, 1)),
        "right_neighbour_degree": np.tile(around, (nodes, 1)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value[left, right], rtol=1e-9, atol=1e-9, err_msg=name)
    for i, (one, other) in enumerate(zip(left, right, strict=True)):
        common = np.flatnonzero(A[one] * A[other])
        assert found["common_least_degree"][i] == (degree[common].min() if len(common) else 0)
        assert found["common_links"][i] == A[np.ix_(common, common)].sum() / 2
    _check_attributes(network, A, left, right, found)


def _check_attributes(network: Network, A: np.ndarray, left: Any, right: Any, found: dict[str, np.ndarray]) -> None:
    """Columns of neighbours' attributes, and affinities."""
    age, city, tags = network.attributes
    assert age.numbers is not None
    assert city.bags is not None
    assert tags.bags is not None
    T, C = (np.zeros((len(A), len(a.bags.terms))) for a in (tags, city))
    for dense, bags in ((T, tags.bags), (C, city.bags)):
        for node in range(len(A)):
            dense[node, bags.codes[bags.starts[node] : bags.starts[node + 1]]] = 1
    weighed = T * tags.bags.rarity
    weighed /= np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-30)
    profile = A @ weighed
    profile /= np.maximum(np.linalg.norm(profile, axis=1, keepdims=True), 1e-30)
    share = A @ C / np.maximum(A.sum(axis=1, keepdims=True), 1)
    has = ~np.isnan(age.numbers)
    with np.errstate(invalid="ignore"):
        mean = (A @ np.nan_to_num(age.numbers)) / (A @ has)
    observed = T.T @ A @ T
    chance = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    log = np.log((observed + 1) / (chance + 1))
    with np.errstate(invalid="ignore"):
        affinity = (T @ log @ T.T) / np.outer(T.sum(axis=1), T.sum(axis=1))
    expected = {
        "left_profile_tags": (profile @ weighed.T)[left, right],
        "right_profile_tags": (profile @ weighed.T)[right, left],
        "profiles_tags": (profile @ profile.T)[left, right],
        "left_neighbours_city": (share @ C.T)[left, right],
        "right_neighbours_city": (share @ C.T)[right, left],
        "left_gap_age": np.abs(mean[left] - age.numbers[right]),
        "right_gap_age": np.abs(mean[right] - age.numbers[left]),
        "affinity_tags": np.nan_to_num(affinity)[left, right],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def _numbers(table: pa.Table) -> dict[str, pa.Array]:
    return {n: table[n].combine_chunks() for n in table.column_names if pa.types.is_floating(table[n].type)}


def test_every_declared_feature_has_its_column_and_groups_can_be_left_out() -> None:
    pairs = linked(40, 120)
    left, right = apart(pairs, 40)
    every = {f.source for f in declared(FEATURES, Columns(), False)}
    assert every == set(pair_columns(known(pairs, 40), left, right).column_names)
    groups = ("walks", "projection", "neighbours", "affinity", "topology")
    for group in groups:
        only = {g: g == group for g in groups}
        table = pair_columns(known(pairs, 40, **only), left, right)
        assert {f.source for f in declared(FEATURES, Columns(**only), False)} == set(table.column_names)
        assert set(table.column_names) < every


def test_a_hidden_link_changes_nothing_and_a_pair_is_the_same_in_any_block() -> None:
    nodes, pairs = 60, linked(60, 250)
    own = pairs[100:140]
    rest = [p for p in pairs if p not in own]
    left, right = (np.array(end, np.int32) for end in zip(*own, strict=True))
    network = known(rest, nodes)
    whole = pair_columns(network, left, right)
    # what was hidden is of no account: the remaining network is all that there is
    assert whole.equals(pair_columns(known(list(reversed(rest)), nodes), left, right))
    order = np.random.default_rng(1).permutation(len(left))
    assert whole.take(order).equals(pair_columns(network, left[order], right[order]))
    for i in range(0, len(left), 9):
        assert whole.slice(i, 1).equals(pair_columns(network, left[i : i + 1], right[i : i + 1]).combine_chunks())


def test_a_cap_leaves_out_paths_through_hubs() -> None:
    # 0 - 1 - 2 - 3 beside a hub 4 that 0 and every other node but 3 is next to
    pairs = [(0, 1), (1, 2), (2, 3), *((4, n) for n in (0, 1, 2, *range(5, 30)))]
    pairs = [(min(p), max(p)) for p in pairs]
    network = adjacency(pairs, 30)
    ends = np.array([0], np.int32), np.array([3], np.int32)
    A = np.zeros((30, 30))
    A[tuple(zip(*pairs, strict=True))] = 1
    A += A.T
    inner = (A.sum(axis=0) - 1) * A * (A.sum(axis=0)[:, None] - 1)  # paths by the two nodes in between, both ways
    assert paths_left_out(network, 10) == (
        1,
        pytest.approx(1 - np.delete(np.delete(inner, 4, 0), 4, 1).sum() / inner.sum()),
    )
    assert paths_left_out(network, 100) == (0, 0.0)
    assert walks(network, *ends)["paths_3"][0] == 2  # through 1 - 2 and through 4 - 2
    capped = walks(network, *ends, cap=10)
    assert capped["paths_3"][0] == 1
    assert capped["allocation_3"][0] == pytest.approx(1e6 / (3 * 3))


def test_a_sample_of_walks_is_right_on_average() -> None:
    rng = np.random.default_rng(0)
    nodes = 400
    popular = rng.permutation(nodes)
    pairs = {
        (int(min(p)), int(max(p))) for p in popular[(rng.random((6000, 2)) ** 2 * nodes).astype(int)] if p[0] != p[1]
    }
    network = adjacency(sorted(pairs), nodes)
    left, right = rng.integers(0, nodes, (2, 4000)).astype(np.int32)
    exact = walks(network, left, right)
    most = int(network.degrees.max())
    for name, column in walks(network, left, right, sample=most).items():
        assert np.array_equal(column, exact[name])  # all are walked to
    found = walks(network, left, right, sample=5)
    for name in ("paths_3", "allocation_3", "l3"):
        off = found[name] - exact[name]
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(nodes)  # pairs of a left end are off together
        assert 0 < np.abs(off).mean() < 0.5 * exact[name].mean()
    assert np.array_equal(found["walk_2"], exact["walk_2"])
    errors = [sampling_error(network, left, right, None, sample) for sample in (5, 20, most)]
    assert errors[0] > errors[1] > errors[2] == 0


def test_near_nodes_have_near_vectors() -> None:
    nodes = 300
    random = np.random.default_rng(4)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in random.integers(0, 100, (1500, 2)) if a != b})
    pairs = [(a + 100 * group, b + 100 * group) for group in range(3) for a, b in pairs] + [(0, 100), (100, 200)]
    of_nodes = projection.vectors(adjacency(pairs, nodes), hash_texts(ids(nodes)), 128, seed=2)
    np.testing.assert_allclose(np.linalg.norm(of_nodes, axis=1), 1, rtol=1e-5)
    left, right = (a.astype(np.int32) for a in random.integers(0, nodes, (2, 2000)))
    cosine = projection.projection(of_nodes, left, right)["projected_cosine"]
    same = left // 100 == right // 100
    assert roc_auc_score(same, cosine) > 0.99


def test_nodes_that_share_neighbours_are_near_each_other() -> None:
    """Of cliques of ten whose numbers are dealt at random, each lies together, and every node is there once."""
    clique = np.random.default_rng(0).permutation(200).reshape(20, 10)
    network = adjacency([(int(a), int(b)) for c in clique for a, b in itertools.combinations(c, 2)], 203)
    assert sorted(network.nearby.tolist()) == list(range(203))
    assert (network.nearby[network.place] == np.argsort(network.place)[network.place]).all()
    assert all(np.ptp(network.place[c]) == 9 for c in clique)
    left = np.array([5, 7, 5, 202, 7], np.int32)
    order, heads = network.by_left(left)
    groups = [order[a:b].tolist() for a, b in itertools.pairwise(heads)]
    assert sorted(groups) == [[0, 2], [1, 4], [3]]


def test_profiles_of_hubs_are_of_evenly_taken_neighbours() -> None:
    nodes = 2000
    star = adjacency([(0, n) for n in range(1, nodes)], nodes)
    tags = [["a"] if n % 2 else ["b"] for n in range(nodes)]
    bags = attribute(BagFeature(source="tags"), pa.array(tags), nodes).bags
    assert bags is not None
    ends = np.array([0], np.int32), np.array([1], np.int32)
    found = neighbours.profile_cosines(star, neighbours.profiles(star, bags), bags, "tags", *ends)
    # half of the neighbours have either: 0.707 but for where the 256 stand
    assert found["left_profile_tags"][0] == pytest.approx(math.sqrt(0.5), abs=0.05)


@pytest.fixture(scope="module")
def made() -> ExampleRows:
    """Examples whose positives are no links, but candidates drawn at random."""
    nodes, seed = 700, 5
    pairs = linked(nodes, 3000)
    network, keys = adjacency(pairs, nodes), hash_texts(ids(nodes))
    hands = Hands.of(network, keys, 1000, seed)
    left, right = apart(pairs, nodes)
    near = np.flatnonzero(hands.show(left, right))
    drawn = np.sort(np.random.default_rng(0).choice(near, 4000, replace=False))
    left, right = left[drawn], right[drawn]
    hidden = Adjacency.of(left, right, nodes)
    left, right = turn(left, right, keys, seed)
    fold = (np.arange(len(left)) % 3).astype(np.int8)
    wanted = most_wanted(Wanted(left, right, fold, np.zeros(len(left), np.int64)), keys, 200, 2, seed)
    described = Network.of(network, keys, attributes(nodes), Columns(), False, seed)
    return ExampleRows(described, hands, ids(nodes), keys, hidden, wanted, 2, False, seed)


def test_rows_are_the_same_however_members_are_dealt_out(made: ExampleRows) -> None:
    whole = made.rows(0, len(made.positives))
    for parts in (2, 7):
        spans = made.spans(parts)
        assert len(spans) >= parts
        dealt = pa.concat_tables([made.rows(*span) for span in spans])
        assert dealt.combine_chunks().equals(whole.combine_chunks())
    assert len(set(whole["_glmix_uid"].to_pylist())) == len(whole)


def test_nothing_tells_positives_that_were_drawn_at_random(made: ExampleRows) -> None:
    rows = made.rows(0, len(made.positives))
    label = rows[LABEL].to_numpy()
    assert label.mean() == pytest.approx(1 / 3, abs=0.01)
    X = np.nan_to_num(np.stack([c.to_numpy(zero_copy_only=False) for c in _numbers(rows).values()], axis=1)[:, 1:])
    X = np.sign(X) * np.log1p(np.abs(X))
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
    fit = rows["_glmix_split"].to_numpy(zero_copy_only=False) != "test"
    error = math.sqrt(1 / 12 / (~fit & (label > 0)).sum() + 1 / 12 / (~fit & (label == 0)).sum())
    for model in (LogisticRegression(max_iter=300), HistGradientBoostingClassifier(max_iter=30)):
        scores = model.fit(X[fit], label[fit]).predict_proba(X[~fit])[:, 1]
        assert abs(roc_auc_score(label[~fit], scores) - 0.5) < 4 * error


def test_each_member_has_the_candidates_of_least_hash() -> None:
    """Against a quadratic loop: a member's negatives are candidates that are no links, hidden or not."""
    nodes, pairs, seed = 40, linked(40, 110), 2
    keys = hash_texts(ids(nodes))
    hidden_pairs, rest = pairs[::6], [p for i, p in enumerate(pairs) if i % 6]
    network, hidden = adjacency(rest, nodes), adjacency(hidden_pairs, nodes)
    hands = Hands.of(network, keys, 5, seed)
    left, right = turn(*(np.array(e, np.int32) for e in zip(*hidden_pairs, strict=True)), keys, seed)
    wanted = most_wanted(Wanted(left, right, np.zeros(len(left), np.int8), np.arange(len(left))), keys, 200, 100, seed)
    found = examples(network, hands, keys, hidden, wanted, 100, False, seed)
    one, other = apart(pairs, nodes)
    shown = hands.show(one, other)
    member, suggested = turn(one[shown], other[shown], keys, seed)
    expected = {p for p in zip(member.tolist(), suggested.tolist(), strict=True) if p[0] in set(left.tolist())}
    negative = found.label == 0
    got = list(zip(found.pairs.left[negative].tolist(), found.pairs.right[negative].tolist(), strict=True))
    assert sorted(got) == sorted(expected)
    few = examples(network, hands, keys, hidden, wanted, 2, False, seed)
    assert few.label.sum() == len(wanted)
    for node in set(left.tolist()):
        mine = few.pairs.left == node
        all_of_node = sum(p[0] == node for p in expected)
        positives = int((mine & (few.label == 1)).sum())
        assert (mine & (few.label == 0)).sum() == min(all_of_node, 2 * positives)
        assert few.weight[mine & (few.label == 0)].sum() == pytest.approx(all_of_node if all_of_node else 0)


def test_a_hub_shows_a_bounded_number_of_pairs() -> None:
    star = adjacency([(0, n) for n in range(1, 1001)], 1001)
    keys = hash_texts(ids(1001))
    one, other = (a.astype(np.int32) + 1 for a in np.triu_indices(1000, 1))
    assert Hands.of(star, keys, 1000, 1).show(one, other).all()
    # 50 hands of about 20: 1000 * 20 / 2 pairs, give or take 5 standard deviations of about sqrt(2 * 50) * 20 / 2
    assert abs(Hands.of(star, keys, 20, 1).show(one, other).sum() - 1000 * 20 / 2) < 5 * 100 + 20
