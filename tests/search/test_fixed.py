"""Given trials, and what every entry of a race must say."""

import pytest

from glmix_automl.config import parse
from glmix_automl.errors import ConfigError
from glmix_automl.search.fixed import Fixed, FixedOptions
from glmix_automl.search.random_search import RandomOptions, RandomSearch


def test_without_a_list_the_entry_is_its_own_single_trial() -> None:
    options = parse({"family": "logistic", "parameters": {"l2": 0.5}, "epochs": 20}, FixedOptions, "x")
    (trial,) = Fixed(options, 0).ask(5)
    assert (trial.family, trial.parameters, trial.epochs) == ("logistic", {"l2": 0.5}, 20)


def test_each_trial_overrides_the_entry() -> None:
    listed = [{"parameters": {"l2": 1.0}}, {"family": "subnetwork", "epochs": 3, "fraction": 0.5}]
    options = parse({"family": "logistic", "parameters": {"l2": 0.5}, "trials": listed}, FixedOptions, "x")
    first, second = Fixed(options, 0).ask(5)
    assert (first.family, first.parameters) == ("logistic", {"l2": 1.0})
    assert (second.family, second.epochs, second.fraction) == ("subnetwork", 3, 0.5)


def test_the_family_may_be_a_parameter_of_the_space() -> None:
    space = {
        "family": {"choice": ["logistic", "subnetwork"]},
        "depth": {"choice": [1, 2], "when": {"family": "subnetwork"}},
    }
    options = parse({"space": space, "trials": 30}, RandomOptions, "x")
    trials = RandomSearch(options, 0).ask(30)
    assert {trial.family for trial in trials} == {"logistic", "subnetwork"}
    assert all(("depth" in trial.parameters) == (trial.family == "subnetwork") for trial in trials)
    assert all("family" not in trial.parameters for trial in trials)


def test_parameters_of_a_family_of_the_space_may_have_the_same_name() -> None:
    space = {
        "family": {"choice": ["logistic", "trees"]},
        "logistic.l2": {"type": "float", "low": 10, "high": 20},
        "trees.l2": {"type": "float", "low": 0, "high": 1},
    }
    written = {"space": space, "parameters": {"trees.trees": 50, "batch_size": 256}, "trials": 30}
    options = parse(written, RandomOptions, "x")
    trials = RandomSearch(options, 0).ask(30)
    assert {trial.family for trial in trials} == {"logistic", "trees"}
    for trial in trials:
        is_linear = trial.family == "logistic"
        assert set(trial.parameters) == {"l2", "batch_size"} | (set() if is_linear else {"trees"})
        assert (float(trial.parameters["l2"] or 0) >= 10) == is_linear
        assert options.settle(options.locate(trial)) == (trial.family, trial.parameters)
    again = parse(options.model_dump(mode="json"), RandomOptions, "x")
    assert again == options


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"space": {"a": {"type": "bool"}}}, "name the model family"),
        ({"family": "f", "space": {"family": {"choice": ["g"]}}}, "both fixed and a parameter"),
        ({"family": "f", "parameters": {"a": 1}, "space": {"a": {"type": "bool"}}}, "'a' is both fixed"),
        ({"family": "f", "space": {"f.a": {"type": "bool"}}}, "names 'family', which is none of f.a"),
        ({"space": {"family": {"choice": ["g"]}, "f.a": {"type": "bool"}}}, "'family' is never 'f'"),
        ({"space": {"family": {"choice": ["g"]}}, "parameters": {"f.a": 1}}, "'f.a' belongs to a family that is no"),
        (
            {"space": {"family": {"choice": ["f"]}, "f.a": {"type": "bool"}}, "parameters": {"a": True}},
            "'f.a' is a parameter of all families too",
        ),
        ({"family": "f"}, "missing key 'space'"),
        ({"family": "f", "space": {}, "epochs": 0}, "greater than or equal to 0.001"),
        ({"family": "f", "space": {}, "fraction": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_wrong_entry_is_refused(written: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(written, RandomOptions, "search.yaml")


def test_a_list_without_trials_or_families_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one trial"):
        parse({"family": "f", "trials": []}, FixedOptions, "x")
    with pytest.raises(ConfigError, match="name the model family"):
        parse({"trials": [{}]}, FixedOptions, "x")
