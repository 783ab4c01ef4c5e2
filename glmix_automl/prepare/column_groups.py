"""Which raw columns each group of made columns has: what a recipe can switch on and off together."""

from collections.abc import Mapping

from glmix_automl.prepare.graph import Graph
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.pairs.describe import declared
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.recipe import Recipe

HISTORY_GROUPS = ("member", "item", "attributes", "signals", "effects", "recent", "tastes", "similar", "factors")
NETWORK_GROUPS = ("walks", "projection", "neighbours", "affinity", "topology")


def column_groups(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Group -> the raw columns that are not made without it; those that are made."""
    if isinstance(recipe, Interactions):
        if (past := recipe.past) is None:
            return {}
        empty = {"attributes": (), "signals": ()}
        less = {g: past.model_copy(update={g: empty.get(g, False)}) for g in HISTORY_GROUPS}
        return _lost(
            [f.source for f in past_features(past)], {g: [f.source for f in past_features(h)] for g, h in less.items()}
        )
    if isinstance(recipe, Graph):
        attributes = tuple(f for table in recipe.nodes for f in table.features)

        def sources(**switched: bool) -> list[str]:
            columns = recipe.columns.model_copy(update=switched)
            return [f.source for f in declared(attributes, columns, recipe.edges.directed)]

        return _lost(sources(), {g: sources(**{g: False}) for g in NETWORK_GROUPS})
    return {}


def _lost(every: list[str], without: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    found = {group: tuple(s for s in dict.fromkeys(every) if s not in left) for group, left in without.items()}
    return {group: sources for group, sources in found.items() if sources}
