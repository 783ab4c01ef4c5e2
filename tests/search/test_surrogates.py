"""Forests and the Gaussian process: what they expect, and how they take lies and news."""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from glmix_automl.search.surrogates import acquisition
from glmix_automl.search.surrogates.forest import Forest
from glmix_automl.search.surrogates.gaussian_process import (
    JITTER,
    NARROW,
    WIDE,
    GaussianProcess,
    Scales,
    _cost,
    squared_differences,
)
from glmix_automl.search.surrogates.seconds import expected_seconds
from glmix_automl.search.surrogates.surrogate import Floats64, Surrogate

MAKERS = {
    "random forest": lambda: Forest("random_forest"),
    "extra trees": lambda: Forest("extra_trees"),
    "process": GaussianProcess,
}


@pytest.fixture(params=MAKERS)
def surrogate(request: pytest.FixtureRequest) -> Surrogate:
    return MAKERS[request.param]()


def told(rows: int, seed: int = 0) -> tuple[Floats64, Floats64]:
    columns = np.random.default_rng(seed).random((rows, 2))
    values = np.sin(5 * columns[:, 0]) + columns[:, 1]
    return columns, (values - values.mean()) / values.std()


def test_it_follows_what_it_was_told(surrogate: Surrogate) -> None:
    columns, values = told(120)
    surrogate.fit(columns[:100], values[:100], np.ones(100), np.random.default_rng(0))
    mean, deviation = surrogate.posterior(np.empty((0, 2)), 0.0, columns[100:]).moments()
    assert np.corrcoef(mean, values[100:])[0, 1] > 0.9
    assert (deviation >= 0).all()


def test_a_lie_pulls_its_neighbourhood_towards_itself(surrogate: Surrogate) -> None:
    columns, values = told(60)
    surrogate.fit(columns, values, np.ones(60), np.random.default_rng(0))
    at = np.array([[0.3, 0.5]])
    before, _ = surrogate.posterior(np.empty((0, 2)), -2.0, at).moments()
    pending, _ = surrogate.posterior(at, -2.0, at).moments()
    posterior = surrogate.posterior(np.empty((0, 2)), -2.0, at)
    posterior.imagine(0)
    assert pending[0] < before[0] - 0.2
    np.testing.assert_allclose(posterior.moments()[0], pending, atol=1e-6)


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_leaves_take_in_news_between_builds(kind: str) -> None:
    columns, values = told(400)
    forest = Forest(kind)  # type: ignore[arg-type]
    forest.fit(columns, values, np.ones(400), np.random.default_rng(0))
    at = columns[:1]
    before, _ = forest.posterior(np.empty((0, 2)), 0.0, at).moments()
    more = np.vstack([columns, np.repeat(at, 3, axis=0)])
    forest.fit(more, np.append(values, [5.0, 5.0, 5.0]), np.ones(403), np.random.default_rng(1))
    after, _ = forest.posterior(np.empty((0, 2)), 0.0, at).moments()
    assert after[0] > before[0] + 1


def test_a_light_row_counts_less(surrogate: Surrogate) -> None:
    columns, values = told(40)
    at = np.array([[0.5, 0.5]])
    found = []
    for weight in (1.0, 0.02):
        fresh = type(surrogate)() if isinstance(surrogate, GaussianProcess) else Forest("extra_trees")
        rows = np.vstack([columns, at, at + 1e-3])
        weights = np.append(np.ones(40), [weight, 1.0])
        fresh.fit(rows, np.append(values, [4.0, 0.0]), weights, np.random.default_rng(0))
        found.append(fresh.posterior(np.empty((0, 2)), 0.0, at).moments()[0][0])
    assert found[1] < found[0] - 0.25


def test_the_process_agrees_with_scikit_learn() -> None:
    columns, values = told(40)
    process = GaussianProcess()
    process.fit(columns, values, np.ones(40), np.random.default_rng(0))
    kernel = Matern(length_scale=np.exp(process._theta[:-1]), nu=2.5)
    reference = GaussianProcessRegressor(kernel, alpha=process.noise, optimizer=None).fit(columns, values)
    at = np.random.default_rng(1).random((30, 2))
    mean, deviation = process.posterior(np.empty((0, 2)), 0.0, at).moments()
    expected = reference.predict(at, return_std=True)
    np.testing.assert_allclose(mean, expected[0], atol=1e-6)
    np.testing.assert_allclose(deviation, expected[1], atol=1e-5)
    pairs = process.posterior(np.empty((0, 2)), 0.0, at).covariance(np.arange(5), np.arange(5) + 10)
    full = reference.predict(at, return_cov=True)[1]
    np.testing.assert_allclose(pairs, full[np.arange(5), np.arange(5) + 10], atol=1e-6)
    assert JITTER < process.noise < 0.1


def test_a_value_left_out_is_as_likely_as_to_a_process_that_never_saw_it() -> None:
    columns, values = told(25)
    process = GaussianProcess()
    process.fit(columns, values, np.ones(25), np.random.default_rng(0))
    kernel = Matern(length_scale=np.exp(process._theta[:-1]), nu=2.5)
    expected = []
    for row in range(25):
        others = np.arange(25) != row
        unseen = GaussianProcessRegressor(kernel, alpha=process.noise, optimizer=None)
        unseen.fit(columns[others], values[others])
        mean, deviation = unseen.predict(columns[[row]], return_std=True)
        expected.append(norm.logpdf(values[row], mean[0], np.sqrt(deviation[0] ** 2 + process.noise)))
    np.testing.assert_allclose(process.left_out() - 0.5 * np.log(2 * np.pi), expected, atol=1e-4)


@pytest.mark.parametrize("scales", [NARROW, WIDE])
def test_the_likelihood_has_the_gradient_it_says(scales: Scales) -> None:
    columns, values = told(25)
    squares, weights = squared_differences(columns, columns), np.full(25, 0.7)
    both = partial(_cost, squares=squares, values=values, weights=weights, scales=scales)
    for theta in (np.array([-1.0, 0.3, -4.0]), np.array([0.5, -0.5, -2.0])):
        error = check_grad(lambda t: both(t)[0], lambda t: both(t)[1], theta)
        assert error < 1e-4


def test_expected_improvement_by_simulation() -> None:
    draws = 0.2 + 0.5 * np.random.default_rng(0).normal(size=400_000)
    by_hand = np.maximum(draws - 0.4, 0).mean()
    found = acquisition.expected_improvement(np.array([0.2]), np.array([0.5]), 0.4, 0.0)[0]
    # The mean of 400,000 draws has deviation 0.0004; five of them fail by chance less than once in a million seeds.
    assert found == pytest.approx(by_hand, abs=0.002)


def test_the_logarithm_of_the_improvement_keeps_the_order_where_the_improvement_is_too_small() -> None:
    mean, deviation = np.array([-3.0, 0.0, 0.3, 0.6]), np.array([0.5, 0.2, 0.4, 0.1])
    found = acquisition.log_expected_improvement(mean, deviation, 0.4, 0.0)
    np.testing.assert_allclose(np.exp(found), acquisition.expected_improvement(mean, deviation, 0.4, 0.0), rtol=1e-6)
    far = acquisition.log_expected_improvement(np.array([-80.0, -70.0, -60.0]), np.full(3, 1.0), 0.4, 0.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) > 0).all()


def test_seconds_follow_what_decides_them_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    columns, at = rng.random((40, 2)), np.array([[0.1, 0.5], [0.9, 0.5]])
    decided = expected_seconds(columns, np.exp(3 * columns[:, 0]), at)
    assert decided[1] / decided[0] == pytest.approx(np.exp(3 * 0.8), rel=0.1)
    by_chance = expected_seconds(columns, np.exp(rng.normal(0, 0.5, 40)), at)
    assert 0.6 < by_chance[1] / by_chance[0] < 1.6
    assert (expected_seconds(columns[:2], np.array([1.0, 9.0]), at) == 1).all()


def test_exploration_decays_within_a_period_and_begins_anew() -> None:
    decay = acquisition.Decay(period=10, final=0.1)
    course = [decay.at(2.0, trial) for trial in range(20)]
    assert course[0] == course[10] == 2.0
    assert course[:10] == sorted(course[:10], reverse=True)
    assert 0.1 < course[9] < 0.2
