"""The mixture fit against an independent solver, its optimality conditions, and its invariances."""

import numpy as np
import pytest
from scipy.optimize import minimize

from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import Targets
from glmix_automl.training.mixture_weights import assess_mixture, fit_mixture


def problem(rows: int = 3000, members: int = 4, seed: int = 0) -> tuple[list[np.ndarray], Targets]:
    """Noisy views of one true score; the last member is noise only."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows)
    scores = [(truth * (k + 1) + rng.normal(size=rows) + k).astype(np.float32) for k in range(members - 1)]
    scores.append(rng.normal(size=rows).astype(np.float32))
    offset = (0.3 * rng.normal(size=rows)).astype(np.float32)
    label = (rng.uniform(size=rows) < 1 / (1 + np.exp(-truth - offset + 1))).astype(np.float32)
    return scores, Targets(label, rng.uniform(0.5, 2, rows).astype(np.float32), offset)


def reference_objective(
    scores: list[np.ndarray], rows: Targets, penalties: list[float], w: np.ndarray, b: float
) -> float:
    """Written apart from the module, in float64 and from the formula alone."""
    s = np.array(scores, np.float64)
    c = np.asarray(rows.weight, np.float64) if rows.weight is not None else np.ones(s.shape[1])
    c = c / c.sum()
    margin = b + w @ s + (rows.offset if rows.offset is not None else 0)
    mean = s @ c
    spread = np.sqrt(((s - mean[:, None]) ** 2) @ c)
    loss = np.logaddexp(0, margin) - rows.label * margin
    return float(c @ loss + np.sum(np.array(penalties) * spread * np.abs(w)))


def test_it_finds_the_minimum_that_a_general_solver_finds() -> None:
    scores, rows = problem()
    penalties = [0.001, 0.002, 0.003, 0.001]

    def split(z: np.ndarray) -> float:  # w = positive - negative part makes the penalty smooth
        return reference_objective(scores, rows, penalties, z[:4] - z[4:8], z[8]) + 1e-9 * float(z[:8].sum())

    bounds = [(0, None)] * 8 + [(None, None)]
    best = minimize(split, np.zeros(9), bounds=bounds, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-14})
    found = fit_mixture(scores, rows, penalties)
    assert found.objective == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(found.weights, best.x[:4] - best.x[4:8], atol=5e-3)
    assert found.objective == pytest.approx(
        reference_objective(scores, rows, penalties, np.array(found.weights), found.bias), abs=1e-6
    )


def test_without_signs_it_finds_the_minimum_above_0() -> None:
    for seed in range(5):
        scores, rows = problem(seed=seed)
        scores[1] = -scores[1]  # would have a weight below 0
        penalties = [0.001, 0.0, 0.0, 0.0]
        best = minimize(
            lambda z, s=scores, r=rows, p=penalties: reference_objective(s, r, p, z[:4], z[4]),
            np.zeros(5),
            bounds=[(0, None)] * 4 + [(None, None)],
            method="L-BFGS-B",
            options={"ftol": 1e-14},
        )
        found = fit_mixture(scores, rows, penalties, [1.0, -1.0, 1.0, 0.0], signed=False)
        assert found.objective == pytest.approx(best.fun, abs=2e-6)
        assert min(found.weights) >= 0
        assert found.weights[1] == 0


def test_a_large_penalty_prunes_exactly_and_leaves_the_base_rate() -> None:
    for seed in range(30):  # where all rows of a label have one loss, its rounding hides the last steps from the loss
        scores, rows = problem(seed=seed)
        found = fit_mixture(scores, Targets(rows.label), [10.0] * 4)
        assert found.weights == (0.0,) * 4
        assert 1 / (1 + np.exp(-found.bias)) == pytest.approx(rows.label.mean(), abs=5e-5)
        assert found.steps < 10


def test_noise_is_pruned_while_signal_stays() -> None:
    scores, rows = problem(20000)
    weights = fit_mixture(scores, rows, [0.01] * 4).weights
    assert weights[-1] == 0.0
    assert max(weights) > 0


def test_the_scale_and_shift_of_a_member_do_not_matter() -> None:
    scores, rows = problem()
    penalties = [0.002] * 4
    plain = fit_mixture(scores, rows, penalties)
    scaled = fit_mixture([1000 * scores[0] - 50, *scores[1:]], rows, penalties)
    assert scaled.objective == pytest.approx(plain.objective, abs=1e-6)
    assert scaled.weights[0] * 1000 == pytest.approx(plain.weights[0], abs=2e-3)


def test_warm_starting_at_the_optimum_takes_no_steps() -> None:
    scores, rows = problem()
    first = fit_mixture(scores, rows, [0.001] * 4)
    again = fit_mixture(scores, rows, [0.001] * 4, first.weights, first.bias)
    assert first.steps > again.steps
    assert again.steps <= 1
    assert again.objective == pytest.approx(first.objective, abs=1e-7)


def test_many_blocks_and_sampled_curvature_reach_the_optimum_of_the_exact_objective() -> None:
    scores, rows = problem(300_000)
    penalties = [0.001, 0.0, 0.002, 0.001]
    found = fit_mixture(scores, rows, penalties)
    w, b = np.array(found.weights), found.bias
    best = reference_objective(scores, rows, penalties, w, b)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = reference_objective(scores, rows, penalties, w + 0.01 * rng.normal(size=4), b + 0.01 * rng.normal())
        assert other > best - 1e-7


def test_equal_members_and_constant_members_are_no_trouble() -> None:
    scores, rows = problem()
    constant = np.full(3000, 7, np.float32)
    found = fit_mixture([scores[0], scores[0], constant], rows, [0.0, 0.0, 0.0])
    alone = fit_mixture([scores[0]], rows, [0.0])
    assert found.weights[2] == 0.0
    assert found.loss == pytest.approx(alone.loss, abs=1e-6)


def test_separable_rows_give_finite_weights() -> None:
    label = np.repeat([0, 1], 500).astype(np.float32)
    found = fit_mixture([label * 2 - 1], Targets(label), [0.0])
    assert np.isfinite(found.weights[0])
    assert found.loss < 1e-3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    scores, rows = problem()
    scores[1][17] = bad
    with pytest.raises(TrialError, match="member 1"):
        fit_mixture(scores, rows, [0.0] * 4)


def test_lengths_that_differ_are_refused() -> None:
    scores, rows = problem()
    with pytest.raises(TrialError, match="2999"):
        fit_mixture([scores[0], scores[1][:-1]], rows, [0.0, 0.0])


def test_given_weights_are_assessed_as_they_are() -> None:
    scores, rows = problem()
    mean = assess_mixture(scores, rows, [0.25] * 4, 0.1, [0.001] * 4)
    assert mean.weights == pytest.approx((0.25,) * 4)
    assert mean.bias == pytest.approx(0.1)
    assert mean.objective == pytest.approx(
        reference_objective(scores, rows, [0.001] * 4, np.full(4, 0.25), 0.1), abs=1e-6
    )
    assert mean.objective >= fit_mixture(scores, rows, [0.001] * 4).objective
