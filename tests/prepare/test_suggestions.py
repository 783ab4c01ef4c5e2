"""Pairs of a network as it is now have the columns that preparation makes of them, candidates included."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from glmix_automl.prepare import graph
from glmix_automl.prepare.pairs.candidates import Hands
from glmix_automl.prepare.pairs.describe import Network
from glmix_automl.prepare.pairs.suggestion_rows import SuggestionRows, numbered
from glmix_automl.prepare.remarks import Remarks
from tests.prepare.test_graph import engine, frame, hidden_links, network, recipe, write


@pytest.mark.parametrize("directed", [False, True])
def test_given_pairs_and_candidates_are_described_as_in_preparation(tmp_path: Path, directed: bool) -> None:
    """The network now is what remained of it then: examples of all splits have the same columns, bit for bit."""
    write(tmp_path, network())
    edges = {"table": {"path": "edges.csv"}, "source": "from", "target": "to", "directed": directed}
    settings = recipe(tmp_path, edges=edges)
    wanted, gone = frame(settings), hidden_links(settings)
    every = pd.read_csv(tmp_path / "edges.csv")
    ends = list(zip(every["from"], every["to"], strict=True))
    is_gone = [(a, b) in gone or (not directed and (b, a) in gone) for a, b in ends]
    every[~np.array(is_gone)].to_csv(tmp_path / "now.csv", index=False)
    now = recipe(tmp_path, edges=edges | {"table": {"path": "now.csv"}})
    links, attributes = graph.read_network(engine(), now, {}, Remarks())
    known = Network.of(links.adjacency(), links.keys, attributes, now.columns, directed, now.seed)

    pairs = [numbered(links.ids, pa.array(wanted[end]))[0] for end in ("left", "right")]
    made = SuggestionRows(known, links.ids, *pairs)
    found = pa.concat_tables(made.rows(*span) for span in made.spans(7)).to_pandas()
    columns = [c for c in found if c in wanted]
    assert {"left", "right", "common_neighbours", "affinity_city", "shared_tags"} <= set(columns)
    pd.testing.assert_frame_equal(found[columns], wanted[columns], check_exact=True)

    hands = Hands.of(links.adjacency(), links.keys, 100, now.seed)
    left = np.arange(len(links.ids), dtype=np.int32)
    all_of = SuggestionRows(known, links.ids, left, hands=hands)
    spans = all_of.spans(5)
    assert len(spans) >= 5
    candidates = pa.concat_tables(all_of.rows(*span) for span in spans).to_pandas()
    near: dict[str, set[str]] = {}
    linked: dict[str, set[str]] = {}
    for a, b in pd.read_csv(tmp_path / "now.csv", dtype=str)[["from", "to"]].itertuples(index=False):
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
        linked.setdefault(a, set()).add(b)
        if not directed:
            linked.setdefault(b, set()).add(a)
    expected = {(m, c) for m, n in near.items() for o in n for c in near[o] - linked.get(m, set()) - {m}}
    got = list(zip(candidates.left, candidates.right, strict=True))
    assert set(got) == expected
    assert len(got) == len(expected)
    both = candidates.merge(wanted, on=["left", "right"], suffixes=("", "_then"))
    assert len(both) > 50
    for name in ("common_neighbours", "jaccard", "affinity_city"):
        np.testing.assert_array_equal(both[name], both[f"{name}_then"])
