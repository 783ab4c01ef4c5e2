"""A made dataset as another night would have it: the same rows, terms of other ids, and new terms among them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.dataset import Dataset
from glmix_automl.layout import MANIFEST, SCHEMA, SUCCESS, Folder
from glmix_automl.schema import Bag, Numeric, Vocabulary


def reordered(source: str | Path, target: str | Path) -> str:
    """Writes it with every vocabulary turned round and a new term before each old one; returns the folder."""
    dataset, place = Dataset.open(str(source)), Folder(str(target))
    vocabularies, ids = {}, {}
    for name, vocabulary in dataset.schema.vocabularies.items():
        terms = vocabulary.terms or ()
        later = [term for old in terms[::-1] for term in (f"new {old}", old)]
        vocabularies[name] = Vocabulary(terms=tuple(later))
        ids[name] = np.array([0, *(later.index(term) + 1 for term in terms)], np.int32)
    for split in dataset.manifest.splits:
        Path(place.path(split)).mkdir(parents=True)
        for shard in dataset.shards(split):
            table = pq.read_table(shard.path)
            for feature in dataset.schema.features:
                if isinstance(feature, Numeric):
                    continue
                column, at = table.column(feature.name).combine_chunks(), table.schema.get_field_index(feature.name)
                moved = ids[feature.vocabulary][column.values if isinstance(feature, Bag) else column]
                new = pa.ListArray.from_arrays(column.offsets, moved) if isinstance(feature, Bag) else pa.array(moved)
                table = table.set_column(at, feature.name, new)
            pq.write_table(table, place.path(f"{split}/{Path(shard.path).name}"), write_page_checksum=True)
    schema = dataset.schema.model_copy(update={"vocabularies": vocabularies})
    place.write(SCHEMA, schema.model_dump_json())
    manifest = dataset.manifest.model_copy(update={"digest": dataset.digest[::-1]})
    place.write(MANIFEST, manifest.model_dump_json())
    place.write(SUCCESS, b"")
    return str(target)
