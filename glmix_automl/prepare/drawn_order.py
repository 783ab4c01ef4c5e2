"""History where rows have no times: an order is drawn, and each row sees what comes before it.

Training rows come one after the other, in an order by hash, as in the ordered statistics of CatBoost (Prokhorenkova et
al. 2018, section 3.2): no column sees its row's own response, at no cost beyond that of rows with times. Validation and
test come after them, at one moment: they see all of train and nothing of each other. Scoring sees all of them.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.exchange import Ints
from glmix_automl.prepare.priors import DAY_MICROSECONDS
from glmix_automl.prepare.row_hash import share
from glmix_automl.prepare.split import Borders, split_of
from glmix_automl.prepare.stage import SPLIT, TIME, UID, Staging
from glmix_automl.seeds import derive

_DAYS = 64  # that training rows are spread over: priors are of the days before
AFTER_TRAIN = (_DAYS + 1) * DAY_MICROSECONDS
ASKED = 2 * AFTER_TRAIN
"""Times of rows of validation and test, and of rows to be scored."""


def in_drawn_order(work: Staging, rows: pa.Table) -> pa.Table:
    """The rows with times that put them in order, and the split that they are in."""
    if work.asks:
        return _timed(rows, np.full(rows.num_rows, ASKED, np.int64))
    # Rows of one member and item have one uid here: none of them may see another.
    uid = rows[UID] if work.uid is not None else pc.binary_join_element_wise(rows["e0"], rows["e1"], "|")
    named = rows if work.uid is not None else rows.append_column(UID, uid)
    split = split_of(named, work.split, Borders(), work.seed, [e.name for e in work.entities])
    drawn = (share(uid, derive(work.seed, "order")) * _DAYS * DAY_MICROSECONDS).astype(np.int64)
    timed = _timed(rows, np.where(split > 0, AFTER_TRAIN, drawn))
    return timed.append_column(SPLIT, pa.array(split.astype(np.int8)))


def _timed(rows: pa.Table, times: Ints) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(TIME), TIME, pa.array(times))
