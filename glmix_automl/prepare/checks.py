"""The data checks: what a profile says about each feature, and what to warn of."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glmix_automl.config import Config
from glmix_automl.prepare.past_columns import names
from glmix_automl.prepare.profile import TERMS, EntityProfile, Profile
from glmix_automl.prepare.recipe import Checks
from glmix_automl.prepare.stage import DeclaredFeature, Staged
from glmix_automl.prepare.tally import Fill, Tally
from glmix_automl.schema import SPLITS, Bag, Feature, Numeric, Schema, TermMatch

_DRIFT = 0.25  # the customary border of a population stability index between moderate and large shifts
_NAMED = 5  # drifting features that a warning names
_GROUPS = 10  # bins that drift is measured over
_SMALL_SHARE = 1e-4  # in place of an empty bin's share, which would make the index infinite
_UNSEEN = 0.5
_COUNTS, _HISTORY = re.compile(names(".+")[0]), re.compile("|".join(names(".+")))
"""Columns of history that count, and all of them."""
_ALONE = 1.0


class FeatureCheck(Config):
    """The checks of one feature."""

    name: str
    kind: str
    side: str
    fill: dict[str, float]
    """Split -> share of raw rows with a usable value."""
    distinct: int | None = None
    """Distinct raw values in train, approximately; of bags, ids of the vocabulary."""
    unseen: dict[str, float] | None = None
    """Validation and test -> share of usable terms (rows, for single terms) outside the vocabulary."""
    psi: float
    """Population stability index of validation against train."""
    cumulative: bool = False
    """Whether it counts what was before and so can only grow: its drift says that time has passed, and no more."""
    auc: float
    """Of the feature alone on validation, whichever direction: a number as it is, a term by its response rate in train,
    a bag by its most telling term."""


class Report(Config):
    """All checks of a dataset, as `data_report.json` keeps them."""

    name: str
    digest: str
    rows: dict[str, tuple[int, int]]
    """Split -> written rows, negative and positive."""
    base_rates: dict[str, float]
    counts: dict[str, int]
    """What was dropped, merged or noticed on the way -> rows."""
    duplicate_uids: int
    features: tuple[FeatureCheck, ...]
    entities: dict[str, EntityProfile]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was guessed when the tables were read: units and spans of times, shares of ids that joined."""


def check_dataset(
    schema: Schema,
    found: Profile,
    tally: Tally,
    places: Mapping[DeclaredFeature, Staged],
    grown: frozenset[str] = frozenset(),
) -> tuple[FeatureCheck, ...]:
    """The checks of every feature of the schema.

    Args:
        schema: of the dataset.
        found: its profile.
        tally: counts of the staged columns.
        places: declared feature -> its staged column.
        grown: raw columns that differ after train by how they are made: history in a drawn order.
    """
    stage_of = {(p.source, p.kind, p.separator): p.name for p in places.values()}
    result = []
    for feature in schema.features:
        tables = {s: found.histograms[feature.name].of(s) for s in SPLITS}
        is_match = isinstance(feature, TermMatch)
        place = None if is_match else stage_of[feature.source, feature.kind, getattr(feature, "separator", None)]
        fill = tally.fills[place] if place is not None else Fill(there=tally.rows)  # a match is never missing
        there = {s: int(fill.there[i]) / int(tally.rows[i]) for i, s in enumerate(SPLITS)}
        result.append(
            FeatureCheck(
                name=feature.name,
                kind=feature.kind,
                side=feature.side,
                fill=there,
                distinct=_distinct(schema, feature, fill),
                unseen=_unseen(schema, feature, tables, fill),
                cumulative=feature.source in grown or is_cumulative(feature),
                psi=stability(tables[SPLITS[0]].sum(axis=0), tables[SPLITS[1]].sum(axis=0)),
                auc=_alone(feature, tables, found),
            )
        )
    return tuple(result)


def _distinct(schema: Schema, feature: Feature, fill: Fill) -> int | None:
    if isinstance(feature, TermMatch):
        return None
    return schema.size(feature) - 1 if isinstance(feature, Bag) else fill.distinct


def is_cumulative(feature: Feature) -> bool:
    """Whether it tells how much came before a row, or whether anything did: both grow as time passes."""
    tells_whether = isinstance(feature, Numeric) and feature.transform == "missing"
    return bool((_HISTORY if tells_whether else _COUNTS).fullmatch(feature.source))


def find_warnings(
    features: tuple[FeatureCheck, ...], entities: Mapping[str, EntityProfile], checks: Checks
) -> list[str]:
    """What a person should look at."""
    warnings = []
    for f in features:
        if f.auc > checks.leak_auc:
            warnings.append(f"feature {f.name!r} alone has AUC {f.auc:.4f}: does it know the response (leakage)?")
        worst = max((f.unseen or {}).values(), default=0.0)
        if worst > _UNSEEN:
            warnings.append(f"feature {f.name!r}: {worst:.0%} of its terms in validation or test are unseen in train")
    drifting = sorted((f for f in features if f.psi > _DRIFT and not f.cumulative), key=lambda f: -f.psi)
    if drifting:
        most = ", ".join(f"{f.name!r} (PSI {f.psi:.2f})" for f in drifting[:_NAMED])
        some = f"{len(drifting)} features drift" if len(drifting) > 1 else "a feature drifts"
        warnings.append(f"{some} from train to validation: {most}{', ...' if len(drifting) > _NAMED else ''}")
    for name, entity in entities.items():
        if entity.rows_with_history[SPLITS[1]] == 0:
            warnings.append(f"no row of validation has a {name} with rows in train: random effects cannot help there")
    return warnings


def stability(train: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """Population stability index: sum over bins of (q - p) ln(q / p), with ten bins of about equal share of train."""
    p, q = train / max(train.sum(), 1), other / max(other.sum(), 1)
    if not train.sum() or not other.sum():
        return 0.0
    group = np.minimum((np.cumsum(p) - p / 2) * _GROUPS, _GROUPS - 1).astype(int)
    p, q = (np.maximum(np.bincount(group, weights=x, minlength=_GROUPS), _SMALL_SHARE) for x in (p, q))
    return float(np.sum((q - p) * np.log(q / p)))


def area(negatives: npt.NDArray[Any], positives: npt.NDArray[Any]) -> float:
    """AUC of bins in ascending order of score, ties within a bin counted half."""
    below = np.cumsum(negatives) - negatives
    pairs = float(negatives.sum()) * float(positives.sum())
    return float(np.sum(positives * (below + negatives / 2.0)) / pairs) if pairs else 0.5


def _alone(feature: Feature, tables: Mapping[str, npt.NDArray[np.int64]], found: Profile) -> float:
    train, validation = tables[SPLITS[0]], tables[SPLITS[1]]
    if isinstance(feature, Numeric):
        auc = area(validation[0], validation[1])
        return max(auc, 1 - auc)
    if isinstance(feature, Bag):
        has = validation / np.maximum(np.asarray(found.rows[SPLITS[1]])[:, None], 1)
        single = has[:, : TERMS + 1]  # the bin after them pools terms, of which a row may have many
        return float(0.5 + np.max(np.abs(single[1] - single[0]), initial=0.0) / 2)
    rate = train[1].sum() / max(train.sum(), 1)
    order = np.argsort((train[1] + rate * _ALONE) / (train.sum(axis=0) + _ALONE), kind="stable")
    return area(validation[0][order], validation[1][order])


def _unseen(
    schema: Schema,
    feature: Feature,
    tables: Mapping[str, npt.NDArray[np.int64]],
    fill: Fill,
) -> dict[str, float] | None:
    """Share of usable raw terms that got no id; None where every term has one (hashed) or there are none (numbers)."""
    if isinstance(feature, Numeric) or schema.vocabularies[feature.vocabulary].buckets is not None:
        return None
    result = {}
    for number, split in list(enumerate(SPLITS))[1:]:  # whole splits: nothing of them was sampled away
        if isinstance(feature, Bag):
            # Terms repeated within a row were merged and so count as unseen; rare, and it errs on the side of warning.
            usable, known = int(fill.terms[number]), int(tables[split].sum())
        else:
            usable, known = int(fill.there[number]), int(tables[split][:, 1:].sum())
        share = 1 - known / usable if usable else math.nan
        result[split] = 0.0 if math.isnan(share) else max(share, 0.0)
    return result
