"""Everything that is known of pairs: one function of (network, pairs), for preparation and for scoring."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pydantic

from glmix_automl.config import Config
from glmix_automl.prepare.pairs import affinity, neighbours
from glmix_automl.prepare.pairs.adjacency import Adjacency, Keys, Nodes, Numbers
from glmix_automl.prepare.pairs.attributes import Attribute
from glmix_automl.prepare.pairs.both_ends import both_ends
from glmix_automl.prepare.pairs.projection import PROJECTION, Vectors, projection, vectors
from glmix_automl.prepare.pairs.topology import TOPOLOGY, surroundings, topology
from glmix_automl.prepare.pairs.two_steps import DIRECTED, STRUCTURE, two_steps
from glmix_automl.prepare.pairs.walks import WALKS, walks
from glmix_automl.prepare.recipe import BagFeature, Declared, NumericFeature
from glmix_automl.seeds import derive


class Columns(Config):
    """Which groups of columns are made, beside counts of common neighbours and what both ends have as attributes."""

    walks: bool = True
    """Sums over paths of three steps."""
    walk_cap: int | None = pydantic.Field(default=None, ge=1)
    """Most neighbours of a node that paths lead through; none unless given. Without it a hub is walked through for
    every member next to it."""
    walk_sample: int | None = pydantic.Field(default=None, ge=1)
    """Neighbours of a node that paths go on to, at most, drawn for each member; sums are then estimates without bias,
    and the report says how far they are off. For networks too large to walk through whole; all unless given."""
    projection: bool = True
    """Cosine of the two ends' vectors of projected walks."""
    dimensions: int = pydantic.Field(default=128, ge=64, multiple_of=64)
    """Numbers of a node's vector, of four bytes each."""
    neighbours: bool = True
    """What the neighbours of one end have as attributes, beside what the other end has."""
    affinity: bool = True
    """How much more often than by chance nodes with the terms of one end link to nodes with those of the other."""
    topology: bool = True
    """How closely the neighbours of each end, and the common ones, are linked."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network with what its columns need of nodes; a function of links, attributes and seed, so it is made again from
    the links of another day and not kept.

    Attributes:
        links: the remaining ones.
        attributes: of the nodes, by declared feature.
        columns: the groups that are made.
        directed: whether directions mean something.
        around: see `topology.surroundings`.
        vectors: see `projection.vectors`.
        affinities: name of a category or bag -> see `affinity.table`.
        means: name of a number -> its mean over each node's neighbours.
        profiles: name of a bag -> see `neighbours.profiles`.
    """

    links: Adjacency
    attributes: tuple[Attribute, ...]
    columns: Columns
    directed: bool = False
    around: Numbers | None = None
    vectors: Vectors | None = None
    affinities: dict[str, tuple[Vectors, Nodes]] = field(default_factory=dict)
    means: dict[str, Numbers] = field(default_factory=dict)
    profiles: dict[str, neighbours.Profiles] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        links: Adjacency,
        keys: Keys,
        attributes: tuple[Attribute, ...],
        columns: Columns,
        directed: bool,
        seed: int,
    ) -> "Network":
        """With all that the groups need of nodes; `keys` [nodes] are hashes of ids."""
        numeric = {a.name: a.numbers for a in attributes if a.numbers is not None and columns.neighbours}
        termed = {a.name: a.bags for a in attributes if a.bags is not None and columns.affinity}
        profiled = {
            a.name: a.bags for a in attributes if a.bags is not None and a.feature.kind == "bag" and columns.neighbours
        }
        return cls(
            links,
            attributes,
            columns,
            directed,
            around=surroundings(links) if columns.topology else None,
            vectors=vectors(links, keys, columns.dimensions, derive(seed, "signs")) if columns.projection else None,
            affinities={name: affinity.table(links, bags, directed) for name, bags in termed.items()},
            means={name: neighbours.means(links, numbers) for name, numbers in numeric.items()},
            profiles={name: neighbours.profiles(links, bags) for name, bags in profiled.items()},
        )


def pair_columns(network: Network, left: Nodes, right: Nodes) -> pa.Table:
    """The raw columns [pairs] that `declared` names, in the order of the pairs: [pairs] int32 node numbers of ends.

    What there is of a pair is a function of the pair and the network. The two may be linked: then that link counts like
    any other, so pairs to be learnt from must be hidden from the network.
    """
    columns: dict[str, pa.Array] = {}
    for attribute in network.attributes:
        columns |= both_ends(attribute, left, right)
    for name, numbers in _numbers(network, left, right).items():
        columns[name] = pa.array(numbers, mask=np.isnan(numbers))
    return pa.table(columns)


def _numbers(network: Network, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    pairs = (left, right)
    columns = two_steps(network.links, *pairs, network.directed)
    if network.columns.walks:
        columns |= walks(network.links, *pairs, network.columns.walk_cap, network.columns.walk_sample)
    if network.vectors is not None:
        columns |= projection(network.vectors, *pairs)
    if network.around is not None:
        columns |= topology(network.links, network.around, *pairs)
    for attribute in network.attributes:
        name, bags = attribute.name, attribute.bags
        if name in network.affinities and bags is not None:
            columns |= affinity.affinity(network.affinities[name], bags, name, *pairs)
        if name in network.means and attribute.numbers is not None:
            columns |= neighbours.gaps(network.means[name], attribute.numbers, name, *pairs)
        if name in network.profiles and bags is not None:
            columns |= neighbours.profile_cosines(network.links, network.profiles[name], bags, name, *pairs)
        elif network.columns.neighbours and bags is not None:
            columns |= neighbours.shares(network.links, bags, name, *pairs)
    return columns


def declared(attributes: tuple[Declared, ...], columns: Columns, directed: bool) -> tuple[Declared, ...]:
    """The features of pairs, from those declared of nodes."""
    structure = STRUCTURE + (DIRECTED if directed else ())
    return (
        *(_number(name, "standardise" if name in ("jaccard", "reciprocal") else "log") for name in structure),
        *(_number(name, "log") for name in WALKS if columns.walks),
        *(_number(name) for name in PROJECTION if columns.projection),
        *(_number(name, "standardise" if "clustering" in name else "log") for name in TOPOLOGY if columns.topology),
        *(feature for attribute in attributes for feature in _of_attribute(attribute, columns)),
    )


def _number(name: str, transform: str = "standardise") -> NumericFeature:
    alone = name in ("left_degree", "left_followed", "right_degree", "right_followers") or name in TOPOLOGY[:4]
    side = name.partition("_")[0] if alone else "pair"
    return NumericFeature(source=name, side=side, transform=transform)  # type: ignore[arg-type]


def _of_attribute(feature: Declared, columns: Columns) -> list[Declared]:
    """What becomes of an attribute of nodes: one feature per end, with one vocabulary, and those of the pair."""
    name = feature.column
    found: list[Declared] = []
    for end in ("left", "right"):
        update: dict[str, str | None] = {"source": f"{end}_{feature.source}", "name": f"{end}_{name}", "side": end}
        if not isinstance(feature, NumericFeature):
            update["vocabulary"] = feature.key
        if isinstance(feature, BagFeature):
            update["separator"] = None  # split when it was read
        found.append(feature.model_copy(update=update))
    if isinstance(feature, NumericFeature):
        gaps = neighbours.gap_names(name) if columns.neighbours else ()
        distances = (f"difference_{name}", *gaps)
        return [*found, *(feature.model_copy(update={"source": d, "name": d, "side": "pair"}) for d in distances)]
    if isinstance(feature, BagFeature):
        found += [
            found[0].model_copy(update={"source": f"{kind}_{name}", "name": f"{kind}_{name}", "side": "pair"})
            for kind in ("shared", "differing")
        ]
        found += [
            _number(f"shared_{name}_count", "log"),
            _number(f"shared_{name}_jaccard"),
            _number(f"shared_{name}_rarity", "log"),
            *([_number(f"shared_{name}_cosine")] if feature.weighted else []),
        ]
    else:
        found.append(_number(f"same_{name}"))
    if columns.neighbours:
        names = neighbours.profile_names(name) if isinstance(feature, BagFeature) else neighbours.share_names(name)
        found += [_number(n) for n in names]
    if columns.affinity:
        found.append(_number(affinity.affinity_name(name)))
    return found
