"""The data report's page, from a profile made by hand."""

import re

import numpy as np
import pytest

from glmix_automl.features.encode import invert_numbers, transform_numbers
from glmix_automl.prepare.checks import FeatureCheck, Report, find_warnings, is_cumulative
from glmix_automl.prepare.past_columns import names
from glmix_automl.prepare.profile import Histograms, Profile
from glmix_automl.prepare.recipe import Checks
from glmix_automl.prepare.report import page
from glmix_automl.schema import SPLITS, Categorical, Numeric, Schema, Vocabulary


def _check(name: str, psi: float, **known: object) -> FeatureCheck:
    fill = dict.fromkeys(SPLITS, 1.0)
    return FeatureCheck.model_validate(
        {"name": name, "kind": "numeric", "side": "item", "fill": fill, "psi": psi, "auc": 0.7, **known}
    )


def _report(features: tuple[FeatureCheck, ...]) -> Report:
    return Report(
        name="<b>made", digest="d", rows=dict.fromkeys(SPLITS, (70, 30)), base_rates=dict.fromkeys(SPLITS, 0.3),
        counts={}, duplicate_uids=0, features=features, entities={}, warnings=("look & see",),
    )  # fmt: skip


def test_the_page_names_terms_gives_numbers_as_they_were_and_escapes_all() -> None:
    price = Numeric(name="price", source="price", transform="log", center=2.0, scale=0.5)
    city = Categorical(name="city", source="city", vocabulary="city")
    schema = Schema(
        name="made", recipe="interactions", features=(price, city), entities=(),
        vocabularies={"city": Vocabulary(terms=("Rome $x$", "<i>Oslo"))},
    )  # fmt: skip
    tables = {"price": ((10, 30, 30), (5, 10, 15)), "city": ((5, 40, 25, 0), (5, 20, 5, 0))}
    edges = transform_numbers(price, np.array([100.0, 5000.0])).astype(float)
    found = Profile(
        rows=dict.fromkeys(SPLITS, (70, 30)), base_rates=dict.fromkeys(SPLITS, 0.3), entities={},
        histograms={n: Histograms(counts=dict.fromkeys(SPLITS, t)) for n, t in tables.items()},
        edges={"price": tuple(edges)},
    )  # fmt: skip
    text = page(_report((_check("price", 0.1), _check("city", 0.2))), found, schema)
    assert "<b>made" not in text
    assert "<i>Oslo" not in text
    assert "look &amp; see" in text
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert {"Rome $x$", "&lt;i&gt;Oslo", "unseen or missing"} <= set(drawn)
    assert "1000" in drawn, "prices, not their scaled logarithms"
    assert "prefers-color-scheme: dark" in text


def test_counts_that_can_only_grow_raise_no_alarm() -> None:
    count, rate, seconds = (Numeric(name=name, source=name, side="member") for name in names("item"))
    first = Numeric(name="first", source=seconds.source, transform="missing", side="member")
    found = [is_cumulative(feature) for feature in (count, first, rate, seconds)]
    assert found == [True, True, False, False]
    assert not is_cumulative(Numeric(name="n", source="price", transform="missing", side="member"))
    features = (_check("seen", 3.0, cumulative=True), _check("price", 3.0))
    (warning,) = find_warnings(features, {}, Checks())
    assert warning == "a feature drifts from train to validation: 'price' (PSI 3.00)"
    several = tuple(_check(f"f{n}", float(n)) for n in range(9))
    (warning,) = find_warnings(several, {}, Checks())
    assert warning.startswith("8 features drift from train to validation: 'f8' (PSI 8.00), 'f7' (PSI 7.00), ")
    assert warning.endswith("'f4' (PSI 4.00), ...")


@pytest.mark.parametrize(
    "feature",
    [
        Numeric(name="x", source="x", center=3.0, scale=2.0),
        Numeric(name="x", source="x", transform="log", center=1.0, scale=0.3),
        Numeric(name="x", source="x", transform="quantile", knots=(0.0, 1.0, 5.0, 100.0), scale=0.3),
    ],
)
def test_a_column_goes_back_to_raw_numbers(feature: Numeric) -> None:
    raw = np.array([0.0, 0.5, 1.0, 3.0, 50.0, 100.0])
    back = invert_numbers(feature, transform_numbers(feature, raw).astype(float))
    np.testing.assert_allclose(back, raw, rtol=1e-4, atol=1e-5)
