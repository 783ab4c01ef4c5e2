"""Raw rows become feature columns: the one implementation behind preparation, batch scoring and the exported model.

pyarrow and numpy only, no Spark and no Python loop over rows. Preparation and scoring apply it through
`DataFrame.mapInArrow`, a model on a pandas frame turned into an Arrow table; none of them has a second way.
"""

from glmix_automl.features.encode import arrow_schema, encode, entity_ids, match_columns
from glmix_automl.features.values import FLOAT32_MAX, as_bag, as_numbers, as_texts

__all__ = ["FLOAT32_MAX", "arrow_schema", "as_bag", "as_numbers", "as_texts", "encode", "entity_ids", "match_columns"]
