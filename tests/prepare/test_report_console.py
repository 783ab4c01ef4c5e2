"""The data report on terminals of any width: what matters is whole."""

import io

import pytest
from rich.console import Console

from glmix_automl.prepare.checks import FeatureCheck, Report
from glmix_automl.prepare.profile import EntityProfile
from glmix_automl.prepare.report_console import print_report

SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize("width", [80, 160])
def test_names_and_numbers_are_never_cut(width: int) -> None:
    names = ["past_member_item_industry_seconds_missing", "a" * 90]
    features = tuple(
        FeatureCheck(
            name=name, kind="numeric", side="member", fill=dict.fromkeys(SPLITS, 0.987), distinct=1_234_567,
            unseen=dict.fromkeys(SPLITS[1:], 0.123), psi=0.456, auc=0.7891,
        )
        for name in names
    )  # fmt: skip
    entity = EntityProfile(
        ids=dict.fromkeys(SPLITS, 12_345_678), rows_with_history=dict.fromkeys(SPLITS, 0.9), train_rows={"1": 5}
    )
    report = Report(
        name="x", digest="d", rows=dict.fromkeys(SPLITS, (1, 1)), base_rates=dict.fromkeys(SPLITS, 0.5), counts={},
        duplicate_uids=0, features=features, entities={"member": entity}, warnings=(), notes=("read as seconds",),
    )  # fmt: skip
    out = io.StringIO()
    print_report(report, "out", Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = out.getvalue()
    assert "…" not in text
    assert names[0] in text
    for number in ("98.7%", "0.456", "0.7891", "12,345,678", "90.0%", "read as seconds"):
        assert number in text, number
