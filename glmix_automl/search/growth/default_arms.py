"""Which arms growth has where nobody says: a rule that follows from the schema and the number of rows.

A linear model with every term first, which is awaited, and effects of members and items on what it leaves; trees have
learned training rows by heart and leave nothing for them. Then trees, awaited too, which bend numerics and find what
few columns are worth together, and symmetric ones, which are the first where growth is alone. Then whatever errs
otherwise: networks of the frequent terms, on the labels and on what is left, and of numerics, and trees of another
kind.
"""

import math
from typing import Any

from glmix_automl.schema import Schema
from glmix_automl.search.growth.arms import Arm, Arms, Turn
from glmix_automl.search.growth.state import Training
from glmix_automl.trial import Value

LINEAR_ENTRY, TREES_ENTRY, PAIRS_ENTRY = "logistic regression", "trees", "trees of pairs"
"""Of the default race: growth begins from what they trained."""
LINEAR: dict[str, Value] = {"solver": "lbfgs", "l2": "auto", "tolerance": 3e-5}
BOOSTED: dict[str, Value] = {
    "trees": 1000,
    "learning_rate": 0.05,
    "feature_share": 0.5,
    "l2": 1.0,
    "patience": 100,
    "terms": 300,  # with all that are filled often enough a tree takes four times as long, for +0.0004 AUC
}
PAIRWISE: dict[str, Value] = {"loss": "pairwise"}
SYMMETRIC: dict[str, Value] = {"shape": "symmetric", "leaves": 64, "l2": 3.0, "feature_share": 0.7}
SYMMETRIC_COST = 1.2  # times other trees: 1.0 to 1.4 in whole trainings, 0.4 to 1.0 by the tree
OTHER_BOOSTED: dict[str, Value] = {"leaves": 63, "leaf_rows": 50, "feature_share": 0.3}
NETWORK_STEPS: dict[str, Value] = {
    "batch_size": 512,
    "learning_rate": 0.006,
    "table_learning_rate": 0.1,
    "schedule": "linear",
}
NETWORK: dict[str, Value] = NETWORK_STEPS | {"depth": 2, "width": 128, "dropout": 0.1, "weight_decay": 1e-4}
LESS_REGULAR: dict[str, Value] = {"dropout": 0.0, "weight_decay": 1e-5}
"""Of a network that has many rows or sees each a few times: it learns none by heart."""

MANY_ROWS = 500_000  # of train
TREE_ROWS = 3_000_000  # that trees see at most
GROWN_ROWS = 600_000_000  # rows times trees: with more rows fewer trees are grown, faster ones
GROWN_A_SECOND = 3_000_000  # rows times trees that a core grows, about
MOST_TREES, FEWEST_TREES, FEWEST_TREE_ROWS = 1000, 200, 50_000  # of trees, and that they see
LEAST_TREE_SHARE = 0.05  # of the rows that trees see, where there is time for little: a network sees them all
FEWEST_LINEAR_ROWS = 20_000  # that a linear model sees
FIRST_ROWS = 2_000_000  # that the first network trains on, in all its epochs: what it takes plans the others
TRAINED_A_SECOND = 300_000  # rows that a network of these trains on, about
SOLVED_A_SECOND = 40_000  # rows of a linear model that goes to the optimum of every strength, about
TRAININGS: tuple[Training, ...] = ("labels", "residual")  # of networks, in turns: neither is better everywhere
EPOCHS = 6.0
FEWEST_EPOCHS = 0.2  # of the first network
CANDIDATES = 8  # that growth is to have time for, beside those that others have trained
PASSES, LONGEST_SHARE = 2, 0.75  # of a network at least, where growth has little time; and of that time at most


def make_default_arms(
    schema: Schema | None,
    rows: int = 0,
    limit: float | None = None,
    within_members: bool = False,
    tree_seconds: float | None = None,
    in_blocks: bool = False,
    linear: Turn | None = None,
    in_race: bool = True,
) -> dict[str, Any]:
    """Options of a generator of kind `arms`.

    Args:
        schema: of the dataset; None, where there is none to look at, for what goes with any.
        rows: of train.
        limit: worker-seconds that growth has. Where they hold few passes over the rows, one network gets most of them
            and entities no effects; it is the first where growth has no time for trees and no other entry trains the
            linear model.
        within_members: whether models are compared by how they order each member's rows: pairs of them are then
            learned from too.
        tree_seconds: that the first trees may take, as those of the race; without a limit if None.
        in_blocks: whether no process has all rows in memory: trees, which need them there, are left out.
        linear: the linear model to begin with, as the race has it; of all rows if None.
        in_race: whether the default race is around it, whose trees come first. Where growth is alone it begins with
            symmetric ones, unless there is no time for any.
    """
    numerics = 2 if schema is None else len(schema.numerics)
    terms = 2 if schema is None else len(schema.categoricals) + len(schema.bags)
    seconds, has_effects = _plan_candidate(limit, rows)
    first = math.inf if seconds is None else seconds * TRAINED_A_SECOND
    if has_effects:  # else the first network is the one that gets most of the time
        first = min(FIRST_ROWS, first)
    begin = EPOCHS if not rows else max(min(EPOCHS, round(first / rows, 2)), FEWEST_EPOCHS)
    regular = LESS_REGULAR if rows >= MANY_ROWS or not has_effects else {}
    arms = [_arm("linear", _trained_by(LINEAR_ENTRY, linear or size_linear(rows)), most=1, alone=True)]
    for entity in () if schema is None or not has_effects else schema.entities:
        effect = Turn(family="random_effect", parameters={"entity": entity.name}, training="residual")
        arms.append(_arm(f"{entity.name} effects", effect, most=1))
    plain = size_trees(rows, tree_seconds)
    paired = plain.model_copy(update={"parameters": {**plain.parameters, **PAIRWISE}})
    half = None if tree_seconds is None else tree_seconds / SYMMETRIC_COST
    has_trees = not in_blocks and (in_race or _has_time_for_trees(rows, half))
    if has_trees and in_race:
        arms.append(_arm("trees", _trained_by(TREES_ENTRY, plain), most=1, alone=True))
    if has_trees:
        symmetric = _planned(size_trees(rows, half), SYMMETRIC)
        arms.append(_arm("symmetric trees", symmetric, most=3, alone=not in_race))
    if within_members and has_trees:
        another = _planned(plain, PAIRWISE)
        arms.append(_arm("trees of pairs", _trained_by(PAIRS_ENTRY, paired), another, most=2))
    if terms:
        views = _views(schema)
        turns = [_network(begin, regular | view, training) for view in views for training in TRAININGS]
        arms.append(_arm("network", *turns, most=6))
    if numerics > 1 and terms:
        arms.append(
            _arm("numerics", _network(begin, regular | {"inputs": "numerics", "depth": 3, "width": 64}), most=2)
        )
    if not terms:
        arms.append(_arm("network", _network(begin, regular), _network(begin, regular | {"depth": 3, "width": 64})))
    if has_trees:
        arms.append(_arm("other trees", _planned(plain, OTHER_BOOSTED), most=2))
    is_known = in_race or (linear is not None and bool(linear.trained_by))
    if not (is_known or has_effects or has_trees):  # the linear model is no gift then
        arms.sort(key=lambda arm: arm.name != "network")
    return Arms(arms=tuple(arms), seconds=seconds).model_dump(mode="json", exclude_defaults=True) | {"kind": "arms"}


def _plan_candidate(limit: float | None, rows: int) -> tuple[float | None, bool]:
    """Seconds that one may take, and whether there is time for effects beside."""
    if limit is None:
        return None, True
    share, enough = limit / CANDIDATES, PASSES * rows / TRAINED_A_SECOND
    return max(share, min(LONGEST_SHARE * limit, enough)), share >= enough


def _arm(name: str, *turns: Turn, most: int = 4, alone: bool = False) -> Arm:
    return Arm(name=name, turns=turns, most=most, alone=alone)


def _trained_by(entry: str, turn: Turn) -> Turn:
    return turn if turn.trained_by else turn.model_copy(update={"trained_by": entry})


def size_trees(rows: int, seconds: float | None = None) -> Turn:
    """Trees in the time that there is and that so many rows leave: fewer of a higher rate, then fewer rows."""
    grown = GROWN_ROWS if seconds is None else min(GROWN_ROWS, seconds * GROWN_A_SECOND)
    seen = min(TREE_ROWS, max(grown / FEWEST_TREES, FEWEST_TREE_ROWS))
    fraction = min(1.0, float(f"{seen / max(rows, 1):.3g}"))
    trees = max(min(MOST_TREES, round(grown / max(rows * fraction, 1))), FEWEST_TREES)
    return Turn(family="trees", parameters=BOOSTED | _so_many(trees), epochs=1, training="labels", fraction=fraction)


def _so_many(trees: int) -> dict[str, Value]:
    """Trees that learn as much in all, whatever their number."""
    return {"trees": trees, "learning_rate": round(0.05 * MOST_TREES / trees, 3)}


def _has_time_for_trees(rows: int, seconds: float | None) -> bool:
    """Whether there is time for the fewest trees on the fewest rows that are worth it."""
    fewest = max(min(rows, FEWEST_TREE_ROWS), LEAST_TREE_SHARE * rows)
    return seconds is None or seconds * GROWN_A_SECOND >= FEWEST_TREES * fewest


def _planned(sized: Turn, own: dict[str, Value]) -> Turn:
    """Trees of another kind: as many at first, then as many as the time of a candidate holds."""
    first = int(sized.parameters["trees"] or MOST_TREES) / MOST_TREES
    parameters = BOOSTED | own | _so_many(MOST_TREES)
    cut = {"first": first, "fewest": FEWEST_TREES / MOST_TREES, "raised": "learning_rate"}
    return sized.model_copy(update={"parameters": parameters, **cut})


def size_linear(rows: int, seconds: float | None = None) -> Turn:
    """Logistic regression on as many rows as the time leaves."""
    seen = rows if seconds is None else max(seconds * SOLVED_A_SECOND, FEWEST_LINEAR_ROWS)
    fraction = min(1.0, float(f"{seen / max(rows, 1):.3g}")) if rows else 1.0
    return Turn(family="logistic", parameters=LINEAR, training="labels", fraction=fraction)


def _network(first: float, parameters: dict[str, Value], training: Training = "labels") -> Turn:
    own = NETWORK | parameters
    return Turn(family="subnetwork", parameters=own, epochs=EPOCHS, first=first, training=training)


def _views(schema: Schema | None) -> list[dict[str, Value]]:
    """Two ways to see terms, so that members err differently."""
    has_bags = schema is None or bool(schema.bags)
    first: dict[str, Value] = {"terms": 100}
    return [first, {"terms": 50, "pooling": "sum"} if has_bags else {"terms": 1000}]
