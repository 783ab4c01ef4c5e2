"""Which raw columns rows must bring to a model, and which they may leave out."""

from glmix_automl.schema import Schema
from glmix_automl.serving.memory import Memory


def required_columns(schema: Schema, memory: Memory | None) -> tuple[str, ...]:
    """Those that features and entities are made of, and history, but for what the model fills in."""
    sources = [column.source for column in (*schema.entities, *schema.raw_features)]
    needed = memory.sources if memory is not None else ()
    left_out = set(optional_columns(schema, memory))
    return tuple(name for name in dict.fromkeys([*sources, *needed]) if name not in left_out)


def optional_columns(schema: Schema, memory: Memory | None) -> tuple[str, ...]:
    """History, and the time that it is made as of: a model that remembers fills them in."""
    if memory is None:
        return ()
    sources = {feature.source for feature in schema.raw_features}
    made = tuple(name for name in memory.made if name in sources)
    time = () if memory.rule is None or memory.rule.column in sources else (memory.rule.column,)
    return (*time, *made)
