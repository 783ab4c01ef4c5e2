"""Trials and results survive JSON, under their own numbers and others, and as older journals have them."""

import dataclasses
import json

import pytest

from glmix_automl.config import parse
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import ConfigError, TrialError
from glmix_automl.search.fixed import FixedOptions
from glmix_automl.study.history import replay
from glmix_automl.trial import MixtureFit, Progress, Result, State, Trial

# A journal of November 2026: a growth's second attempt, whose fit was texts and its weights metrics by place.
OLD_ASK = (
    '{"event":"ask","at":1795891377.2397354,"entry":"adanet","n":1,"trials":[{"number":11,"strategy":"adanet","family'
    '":"mixture","parameters":{"weighting":"learned","fit":"validation","penalties":"0.00021 0.00011","select":"auc",'
    '"holdout":"auc","improvement":0.0003},"epochs":1.0,"fraction":1.0,"parent":null,"offset":null,"seed":38711947511'
    '06434834,"tags":{"round":"1","generator":"logistic","role":"mixture","growth":"3","base":"1"},"members":{"member'
    's":[4,9],"weights":[0.8833139141351097,1.0],"bias":0.025302539018794423},"teacher":null,"checkpoint":null}]}'
)
OLD_RESULT = (
    '{"event":"result","at":1795891377.3990748,"result":{"number":11,"state":"finished","auc":0.7708858181818182,"los'
    's":0.3908388955322026,"metrics":{"weight_0":0.8468048310109031,"weight_1":0.39680894371768577,"bias":0.047765768'
    '67380178,"objective":0.3910971773190707,"penalty":0.0002582782460141756,"validation_loss":0.3908388990730565,"me'
    'mbers":2.0,"mixture_steps":3.0,"auc_variance":3.699741072948119e-05,"calibration":1.0000006385901339,"member_auc'
    '":0.7127804508961673,"test_auc":0.7819546732371391,"test_auc_variance":3.49638404155784e-05,"test_loss":0.380664'
    '3981920983,"test_calibration":1.0332445068283975,"test_member_auc":0.7362175657465788},"curve":[],"costs":{"step'
    's":3,"rows":0,"train_seconds":0.11670276199993168,"eval_seconds":0.033446499000092444,"worker_seconds":0.1550805'
    '5686950684},"worker":"local-1","started":1795891377.2438188,"ended":1795891377.3988993,"attempts":1,"error":null'
    "}}"
)

TRIALS = [
    Trial(3, "grid", "subnetwork", {"depth": 2, "dropout": 0.5}, parent=1, offset=Ensemble((0, 1), (0.5, 2.0), -1.0)),
    Trial(4, "adanet", "mixture", fit=MixtureFit(Ensemble((0, 3), (1.0, 0.0), 0.5), (0.1, 0.2), "mean", "validation")),
    Trial(5, "adanet", "trees", teacher=Ensemble.of(4), tags={"round": "1"}, checkpoint="studies/one/trials/0"),
]
RESULTS = [
    Result(4, State.FINISHED, 0.7, 0.5, {"objective": 0.5}, ensemble=Ensemble((0, 3), (0.25, 0.0), 0.125)),
    Result(5, State.STOPPED, 0.75, 0.4, curve=(Progress(5, 1.0, 10, 0.5, 0.75, 0.4),)),
    Result.failure(6, "the disk is full"),
]


def test_trials_and_results_survive_json() -> None:
    assert [Trial.from_json(json.loads(json.dumps(trial.to_json()))) for trial in TRIALS] == TRIALS
    assert [Result.from_json(json.loads(json.dumps(result.to_json()))) for result in RESULTS] == RESULTS


def test_every_number_changes_together() -> None:
    moved = [trial.renumbered(lambda number: number + 10) for trial in TRIALS]
    assert (moved[0].number, moved[0].parent, moved[0].offset) == (13, 11, Ensemble((10, 11), (0.5, 2.0), -1.0))
    assert moved[1].fit is not None
    assert moved[1].fit.begin.members == (10, 13)
    assert moved[2].teacher == Ensemble.of(14)
    results = [result.renumbered(lambda number: number + 10) for result in RESULTS]
    assert results[0].ensemble == Ensemble((10, 13), (0.25, 0.0), 0.125)
    assert results[1].curve[0].number == results[1].number == 15
    assert [trial.renumbered(lambda number: number - 10) for trial in moved] == TRIALS


def test_a_journal_of_the_time_before_typed_fits_is_read() -> None:
    history = replay([json.loads(OLD_ASK), json.loads(OLD_RESULT)])
    trial, result = history.trials[11], history.results[11]
    begin = Ensemble((4, 9), (0.8833139141351097, 1.0), 0.025302539018794423)
    assert trial.fit == MixtureFit(begin, (0.00021, 0.00011), "learned", "validation")
    assert not trial.parameters
    assert {name: trial.tags[name] for name in ("select", "holdout", "improvement", "base")} == {
        "select": "auc",
        "holdout": "auc",
        "improvement": "0.0003",
        "base": "1",
    }
    assert result.ensemble == Ensemble((4, 9), (0.8468048310109031, 0.39680894371768577), 0.04776576867380178)
    assert "weight_0" not in result.metrics
    assert result.metrics["objective"] == 0.3910971773190707


@pytest.mark.parametrize("change", [{"epochs": float("inf")}, {"epochs": 1e-9}, {"epochs": 0.0}, {"fraction": 1.5}])
def test_budgets_that_are_none_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(TrialError, match=f"trial 3: expected .*{next(iter(change))}"):
        dataclasses.replace(TRIALS[0], **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="epochs"):
        parse({"family": "logistic", **change, "epochs": change.get("epochs", -1)}, FixedOptions, "here")


def test_a_fit_needs_members() -> None:
    with pytest.raises(TrialError, match="needs members"):
        MixtureFit(Ensemble())
