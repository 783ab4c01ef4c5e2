"""The graph recipe against plain Python on a small network, and against links that must not be seen."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from glmix_automl import config
from glmix_automl.config import parse
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare import graph, pipeline
from glmix_automl.prepare import network as network_tables
from glmix_automl.prepare.engine import Local
from glmix_automl.prepare.pairs import links as of_links
from glmix_automl.prepare.pairs.describe import Network, pair_columns
from glmix_automl.prepare.pairs.two_steps import DIRECTED, STRUCTURE
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import Fractions
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows

NODES = 60


def network(seed: int = 0, links: int = 260) -> list[tuple[int, int, int]]:
    """Links between nodes of one of three groups mostly, with times."""
    random = np.random.default_rng(seed)
    found: dict[tuple[int, int], int] = {}
    while len(found) < links:
        one, other = (int(n) for n in random.integers(0, NODES, 2))
        if one != other and (one % 3 == other % 3 or random.random() < 0.2) and (other, one) not in found:
            found.setdefault((one, other), len(found))
    return [(*pair, time) for pair, time in found.items()]


def attributes() -> dict[int, dict[str, Any]]:
    random = np.random.default_rng(9)
    return {
        node: {
            "age": None if node % 11 == 0 else int(random.integers(20, 60)),
            "city": ["a", "b", "c"][node % 3],
            "tags": sorted({f"t{random.integers(0, 12)}" for _ in range(random.integers(0, 5))}),
        }
        for node in range(NODES)
    }


def write(folder: Path, links: list[tuple[int, int, int]]) -> None:
    folder.mkdir(exist_ok=True)
    pd.DataFrame(links, columns=["from", "to", "when"]).to_csv(folder / "edges.csv", index=False)
    known = attributes()
    rows = [{"id": n, "age": a["age"], "city": a["city"], "tags": "|".join(a["tags"])} for n, a in known.items()]
    pd.DataFrame(rows).astype({"age": "Int64"}).to_csv(folder / "nodes.csv", index=False)
    (folder / "tags.json").write_text(json.dumps({str(n): a["tags"] for n, a in known.items()}))


def recipe(folder: Path, **changes: Any) -> graph.Graph:
    features = [
        {"kind": "numeric", "source": "age"},
        {"kind": "categorical", "source": "city"},
        {"kind": "bag", "source": "tags", "separator": "|"},
    ]
    content: dict[str, Any] = {
        "recipe": "graph",
        "name": "small",
        "root": str(folder),
        "output": str(folder / "out"),
        "edges": {"table": {"path": "edges.csv"}, "source": "from", "target": "to", "timestamp": {"column": "when"}},
        "nodes": [{"table": {"path": "nodes.csv"}, "features": features}],
        "hidden": {"share": 0.25},
        "candidates": {"negatives": 3},
    }
    return config.parse(content | changes, graph.Graph, "test")


def frame(settings: graph.Graph) -> pd.DataFrame:
    return example_frame(graph.graph_rows(engine(), settings))


def engine() -> Local:
    return Local(StepProgress())


def example_frame(rows: RawRows) -> pd.DataFrame:
    """The raw examples that preparation takes in."""
    made = rows.given._made
    found = pa.concat_tables(made.rows(*span) for span in made.spans(4)).to_pandas()
    return found.sort_values("_glmix_uid").reset_index(drop=True)


def hidden_links(settings: graph.Graph) -> set[tuple[int, int]]:
    """Which links the recipe hides."""
    links, _ = graph.read_network(engine(), settings, {}, Remarks())
    fold = of_links.hidden(
        links, settings.hidden.share, settings.hidden.fractions, settings.hidden.by == "time", settings.seed
    )
    ends = (np.array(links.ids.to_pylist(), int)[end[fold >= 0]].tolist() for end in (links.sources, links.targets))
    return set(zip(*ends, strict=True))


@pytest.mark.parametrize("directed", [False, True])
def test_every_feature_is_what_plain_python_finds_in_the_remaining_network(tmp_path: Path, directed: bool) -> None:
    links = network()
    write(tmp_path, links)
    edges = {"table": {"path": "edges.csv"}, "source": "from", "target": "to", "directed": directed}
    settings = recipe(tmp_path, edges=edges)
    hidden = hidden_links(settings)
    gone = hidden | (set() if directed else {(b, a) for a, b in hidden})  # an undirected link has either end first
    remaining = {(a, b) for a, b, _ in links if (a, b) not in gone}
    around: dict[int, set[int]] = {n: set() for n in range(NODES)}
    for a, b in remaining:
        around[a].add(b)
        around[b].add(a)
    follows = {n: {b for a, b in remaining if a == n} for n in range(NODES)}
    followers = {n: {a for a, b in remaining if b == n} for n in range(NODES)}
    known = attributes()
    rarity = {
        t: math.log(NODES / sum(t in a["tags"] for a in known.values())) for a in known.values() for t in a["tags"]
    }
    rows = frame(settings)
    assert len(rows) > 100
    for row in rows.to_dict("records"):
        left, right = int(row["left"]), int(row["right"])
        common = around[left] & around[right]
        tags, others = set(known[left]["tags"]), set(known[right]["tags"])
        expected: dict[str, float] = {
            "common_neighbours": len(common),
            "jaccard": len(common) / len(around[left] | around[right]),
            "adamic_adar": sum(1 / math.log(len(around[z])) for z in common),
            "resource_allocation": sum(1 / len(around[z]) for z in common),
            "preferential_attachment": len(around[left]) * len(around[right]),
            "left_degree": len(around[left]),
            "right_degree": len(around[right]),
            "same_city": int(known[left]["city"] == known[right]["city"]),
            "shared_tags_count": len(tags & others),
            "shared_tags_jaccard": len(tags & others) / len(tags | others) if tags | others else 0.0,
            "shared_tags_rarity": sum(rarity[t] for t in tags & others),
        }
        if directed:
            expected |= {
                "reciprocal": int((right, left) in remaining),
                "paths": len(follows[left] & followers[right]),
                "followed_by_both": len(follows[left] & follows[right]),
                "followers_of_both": len(followers[left] & followers[right]),
                "left_followed": len(follows[left]),
                "right_followers": len(followers[right]),
            }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-8), (name, left, right)
        assert list(row["shared_tags"]) == sorted(tags & others)
        assert list(row["differing_tags"]) == sorted(tags ^ others)
        ages = [known[n]["age"] for n in (left, right)]
        difference = row["difference_age"]
        assert math.isnan(difference) if None in ages else difference == abs(ages[0] - ages[1])
        pairs = {(left, right)} | (set() if directed else {(right, left)})
        assert row["_glmix_label"] == int(bool(pairs & hidden))
        assert not pairs & remaining
        assert common
    assert set(STRUCTURE) <= set(rows.columns)
    assert directed == (set(DIRECTED) <= set(rows.columns))


def test_no_feature_sees_a_hidden_link(tmp_path: Path) -> None:
    links = network()
    write(tmp_path / "all", links)
    settings = recipe(tmp_path / "all")
    hidden = hidden_links(settings)
    hidden |= {(b, a) for a, b in hidden}
    whole = frame(settings)
    # The same pairs, described by the function that scoring uses from a file that never had the hidden links.
    write(tmp_path / "left", [link for link in links if link[:2] not in hidden])
    seen = recipe(tmp_path / "left")
    left, attributes = graph.read_network(engine(), seen, {}, Remarks())
    remaining = Network.of(left.adjacency(), left.keys, attributes, seen.columns, False, seen.seed)
    number = {node: place for place, node in enumerate(left.ids.to_pylist())}
    ends = [whole[end].map(number).to_numpy(np.int32) for end in ("left", "right")]
    bare = pair_columns(remaining, *ends)
    assert set(STRUCTURE) < set(bare.column_names) < set(whole.columns)
    for name in bare.column_names:
        if pa.types.is_floating(bare[name].type):
            np.testing.assert_array_equal(bare[name].to_numpy(), whole[name].to_numpy(float), err_msg=name)
        else:
            values = [None if v is None else list(v) if isinstance(v, list | np.ndarray) else v for v in whole[name]]
            assert bare[name].to_pylist() == values, name


def test_each_member_has_its_share_of_negatives_and_a_pair_is_there_once(tmp_path: Path) -> None:
    write(tmp_path, network())
    rows = frame(recipe(tmp_path))
    unordered = {frozenset((r.left, r.right)) for r in rows.itertuples()}
    assert len(unordered) == len(rows)
    for _, of_member in rows.groupby("left"):
        positives = of_member["_glmix_label"].sum()
        assert positives >= 1
        assert len(of_member) - positives <= 3 * positives
    counts = rows.groupby(["_glmix_split", "_glmix_label"]).size()
    assert set(counts.index.get_level_values(0)) == {"train", "validation", "test"}
    # both ends are the member about equally often: 5 standard deviations
    keys = rows[["left", "right"]].astype(int)
    low = (keys["left"] < keys["right"]).mean()
    assert abs(low - 0.5) < 5 * 0.5 / math.sqrt(len(rows))


def test_rows_do_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    links = network()
    write(tmp_path / "one", links)
    write(tmp_path / "other", [(b, a, t) for a, b, t in reversed(links)])
    one = frame(recipe(tmp_path / "one"))
    pd.testing.assert_frame_equal(one, frame(recipe(tmp_path / "other")))
    different = frame(recipe(tmp_path / "one", seed=5))
    assert set(different["_glmix_uid"]) != set(one["_glmix_uid"])


def test_links_hidden_by_time_are_the_latest_and_splits_follow_each_other(tmp_path: Path) -> None:
    links = network()
    write(tmp_path, links)
    settings = recipe(tmp_path, hidden={"by": "time", "share": 0.3})
    hidden = hidden_links(settings)
    times = {frozenset((a, b)): t for a, b, t in links}
    cut = min(times[frozenset(pair)] for pair in hidden)
    assert len(hidden) == pytest.approx(0.3 * len(links), abs=1)
    assert {frozenset(p) for p in hidden} == {pair for pair, t in times.items() if t >= cut}
    rows = frame(settings)
    spans = rows.groupby("_glmix_split")["_glmix_time"].agg(["min", "max"])
    assert spans.loc["train", "max"] < spans.loc["validation", "min"]
    assert spans.loc["validation", "max"] < spans.loc["test", "min"]


def test_json_objects_are_node_tables_too(tmp_path: Path) -> None:
    write(tmp_path, network())
    whole = frame(recipe(tmp_path))
    bag = [{"kind": "bag", "source": "tags"}]
    objects = [{"table": {"path": "tags.json"}, "lists": "tags", "features": bag}]
    rows = frame(recipe(tmp_path, nodes=objects))
    assert [list(t) for t in rows["shared_tags"]] == [list(t) for t in whole["shared_tags"]]
    (tmp_path / "tags.json").write_text("not json")
    with pytest.raises(DataError, match="JSON object"):
        frame(recipe(tmp_path, nodes=objects))


def test_weights_make_up_for_the_candidates_that_were_not_taken(tmp_path: Path) -> None:
    write(tmp_path, network())
    settings = recipe(tmp_path, candidates={"negatives": 1, "weigh": True})
    made = graph.graph_rows(engine(), settings)
    rows = example_frame(made)
    every = recipe(tmp_path, candidates={"negatives": 100, "per_member": 100_000})
    candidates_of = frame(every).groupby("left")["_glmix_label"].agg(lambda labels: (labels == 0).sum())
    weights = rows[rows["_glmix_label"] == 0].groupby("left")["_glmix_weight"].sum()
    for member, weight in weights.items():
        assert weight == pytest.approx(candidates_of[member])
    assert (rows.loc[rows["_glmix_label"] == 1, "_glmix_weight"] == 1).all()


def test_self_loops_and_repeated_links_are_dropped_and_counted(tmp_path: Path) -> None:
    links = network()
    write(tmp_path, [*links, (3, 3, 0), (links[0][1], links[0][0], 7), links[1]])
    made = graph.graph_rows(engine(), recipe(tmp_path, candidates={"fan_out": 2}))
    counts = made.counts
    reach = [counts[name] for name in counts if name.startswith("hidden links")]
    assert sum(reach) == counts["links hidden"]
    assert reach[1] > 0
    assert f"candidates reach {reach[0] / sum(reach):.1%} of the hidden links" in made.remarks.notes[-1]
    assert counts["links"] == len(links)
    assert counts["self-loops dropped"] == 1
    assert counts["links dropped that were named before"] == 2


def test_bad_tables_are_refused_with_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, network())
    with pytest.raises(DataError, match=r"no column 'nobody'"):
        graph.graph_rows(
            engine(), recipe(tmp_path, edges={"table": {"path": "edges.csv"}, "source": "nobody", "target": "to"})
        )
    with pytest.raises(DataError, match=r"no file at .*missing\.csv"):
        graph.graph_rows(
            engine(), recipe(tmp_path, edges={"table": {"path": "missing.csv"}, "source": "from", "target": "to"})
        )
    write(tmp_path, [*network(), *((900 + n, n, 0) for n in range(30))])
    with pytest.raises(DataError, match=r"30 of 290 links \(10\.3%\) .*\.max_unknown_share"):
        graph.graph_rows(engine(), recipe(tmp_path))
    assert graph.graph_rows(engine(), recipe(tmp_path, checks={"max_unknown_share": 0.2})).counts["links"] == 290
    nodes = pd.read_csv(tmp_path / "nodes.csv")
    pd.concat([nodes, nodes.head(2)]).to_csv(tmp_path / "nodes.csv", index=False)
    with pytest.raises(DataError, match=r"2 ids of column 'id' have several rows, for example '0'"):
        graph.graph_rows(engine(), recipe(tmp_path))


SKILLS = {n: {f"s{k}": (n * 7 + k * 3) % 5 - 1.5 for k in range(9) if (n + k * k) % 4 == 0} for n in range(NODES - 5)}
"""Levels of nodes' skills; the last nodes have none."""


def write_in_parts(folder: Path) -> None:
    """The network as three exports: links, when they were made, and a long table of skills of most nodes."""
    write(folder, network())
    edges = pd.read_csv(folder / "edges.csv")
    edges[["from", "to"]].to_csv(folder / "links.csv", index=False)
    edges[["when", "to", "from"]].sample(frac=1, random_state=1).to_csv(folder / "times.csv", index=False)
    long = [{"node": n, "skill": s, "level": level / 2} for n, of in SKILLS.items() for s, level in of.items()]
    pd.DataFrame([*long, *long]).to_csv(folder / "skills.csv", index=False)  # values of equal terms are added up


def in_parts(folder: Path, **changes: Any) -> graph.Graph:
    """A recipe that puts them together."""
    times = {"table": {"path": "times.csv"}, "on": ["from", "to"]}
    skills = {"path": "skills.csv", "gather": {"by": "node", "term": "skill", "value": "level", "name": "skills"}}
    bag = {"kind": "bag", "source": "skills", "weighted": True, "min_count": 1}
    nodes = [
        {"table": {"path": "nodes.csv"}, "features": [{"kind": "categorical", "source": "city"}]},
        {"table": skills, "key": "node", "features": [bag]},
    ]
    edges = {"source": "from", "target": "to", "timestamp": {"column": "when"}}
    edges["table"] = {"path": "links.csv", "join": [times]}
    return recipe(folder, edges=edges, nodes=nodes, hidden={"by": "time", "share": 0.3}, **changes)


def test_attributes_come_from_several_tables_one_of_them_long_and_weighted(tmp_path: Path) -> None:
    write_in_parts(tmp_path)
    rows = frame(in_parts(tmp_path))
    known = attributes()
    without = 0
    for row in rows.to_dict("records"):
        left, right = (int(row[end]) for end in ("left", "right"))
        one, other = SKILLS.get(left, {}), SKILLS.get(right, {})
        assert (row["left_city"], row["right_city"]) == (known[left]["city"], known[right]["city"])
        without += not one
        assert ({p["term"]: p["value"] for p in row["left_skills"]} if one else row["left_skills"]) == (one or None)
        both, alone = one.keys() & other.keys(), one.keys() ^ other.keys()
        shared = {pair["term"]: pair["value"] for pair in row["shared_skills"]}
        assert shared == pytest.approx({term: one[term] * other[term] for term in both})
        assert {p["term"]: p["value"] for p in row["differing_skills"]} == {t: (one | other)[t] for t in alone}
        lengths = [math.sqrt(sum(v * v for v in of.values())) for of in (one, other)]
        cosine = sum(shared.values()) / math.prod(lengths) if all(lengths) else 0.0
        assert row["shared_skills_cosine"] == pytest.approx(cosine, abs=1e-12)
        assert row["shared_skills_count"] == len(both)
    assert without
    times = {frozenset((a, b)): t for a, b, t in network()}
    made = rows[rows["_glmix_label"] == 1]
    found = [times[frozenset((int(r.left), int(r.right)))] * 10**6 for r in made.itertuples()]
    assert made["_glmix_time"].tolist() == found


@pytest.mark.spark
def test_a_network_has_one_digest_whatever_prepares_it(spark: Any, tmp_path: Path) -> None:
    write_in_parts(tmp_path)
    bag = [{"kind": "bag", "source": "labels", "min_count": 1}]
    numbers = {str(n): [t and int(t[1:]) for t in [*a["tags"], None]] for n, a in attributes().items()}
    (tmp_path / "numbers.json.gz").write_bytes(gzip.compress(json.dumps(numbers).encode()))
    plain = in_parts(tmp_path, output=str(tmp_path / "out"))
    objects = {"table": {"path": "numbers.json.gz"}, "lists": "labels", "features": bag}
    nodes = (*plain.nodes, parse(objects, network_tables.NodesTable, "test"))
    made = set()
    for engine in (Local(StepProgress(), 1), Local(StepProgress(), 3), None):
        chosen = plain.model_copy(update={"nodes": nodes, "output": str(tmp_path / f"out-{len(made)}")})
        manifest = pipeline.finish(engine, chosen, True) if engine else pipeline.prepare_dataset(spark, chosen, True)
        made.add(manifest.digest)
        assert manifest.splits["train"].rows > 100
    assert len(made) == 1
    (tmp_path / "numbers.json.gz").write_bytes(gzip.compress(b'{"1": ["a"], "1": ["b"]}'))
    with pytest.raises(DataError, match="1 ids of column 'id' have several rows"):
        pipeline.finish(Local(StepProgress()), chosen, True)


def test_networks_without_candidates_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [(2 * n, 2 * n + 1, n) for n in range(30)])
    with pytest.raises(DataError, match="no two nodes are two steps apart"):
        graph.graph_rows(engine(), recipe(tmp_path))
    with pytest.raises(DataError, match="none are hidden"):
        graph.graph_rows(engine(), recipe(tmp_path, hidden={"share": 1e-9}))
    edges = {"table": {"path": "edges.csv"}, "source": "from", "target": "to"}
    with pytest.raises(ConfigError, match="hidden by time only with"):
        recipe(tmp_path, hidden={"by": "time"}, edges=edges)


def test_both_directions_of_a_link_are_in_one_split() -> None:
    one, other = np.triu_indices(30, 1)
    ends = np.concatenate([one, other]).astype(np.int32), np.concatenate([other, one]).astype(np.int32)
    both = of_links.Links(pa.array([f"{n:02d}" for n in range(30)]), *ends, np.zeros(len(ends[0]), np.int64))
    fold = of_links.hidden(both, 0.5, Fractions(), False, seed=1).reshape(2, -1)
    twice = (fold >= 0).all(axis=0)
    assert 50 < twice.sum() < 350
    assert (fold[0] == fold[1])[twice].all()
