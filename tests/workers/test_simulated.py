"""The virtual clock: durations, slow slots, order, and thousands of workers."""

from glmix_automl.seeds import generator
from glmix_automl.trial import Progress, Result, State, Trial
from glmix_automl.workers.simulated import SimulatedExecutor


def trial(number: int) -> Trial:
    return Trial(number, "s", "f")


def evaluate(trial: Trial) -> tuple[Result, float]:
    return Result(trial.number, State.FINISHED, auc=0.6), float(trial.number)


def test_trials_end_in_the_order_of_their_virtual_durations() -> None:
    pool = SimulatedExecutor(evaluate, slots=3, start=1000.0)
    futures = {pool.submit(trial(n)) for n in (30, 10, 20)}
    ends = []
    while futures:
        done = pool.wait(futures, None)
        futures -= done
        ends += [(future.result().number, pool.now()) for future in done]
    assert ends == [(10, 1010.0), (20, 1020.0), (30, 1030.0)]


def test_a_slow_slot_takes_its_factor_longer() -> None:
    pool = SimulatedExecutor(evaluate, slots=2, slowness=(4.0,), ranks=3)
    slow, fast = pool.submit(trial(10)), pool.submit(trial(100))
    pool.wait({slow}, None)
    assert slow.result().ended == 40.0
    assert slow.result().costs.worker_seconds == 120.0
    pool.wait({fast}, None)
    assert fast.result().ended == 100.0


def test_a_wait_ends_when_its_virtual_seconds_have_passed() -> None:
    pool = SimulatedExecutor(evaluate, slots=1)
    future = pool.submit(trial(10))
    assert pool.wait({future}, 4.0) == set()
    assert pool.now() == 4.0
    assert pool.wait({future}, 100.0) == {future}
    assert pool.now() == 10.0
    assert pool.wait({future}, None) == {future}, "what was returned before is still done"


def test_a_stopped_trial_ends_at_its_next_point_with_its_best_so_far() -> None:
    curve = tuple(Progress(5, n, n, float(n), auc=auc) for n, auc in enumerate((0.5, 0.7, 0.6, 0.8)))
    told: list[Progress] = []

    def watch(point: Progress) -> None:
        told.append(point)
        if point.steps == 2:
            pool.stop(5)

    pool = SimulatedExecutor(
        lambda t: (Result(t.number, State.FINISHED, auc=0.8, curve=curve), 4.0), slots=1, on_progress=watch
    )
    future = pool.submit(trial(5))
    pool.wait({future}, None)
    result = future.result()
    assert (result.state, result.auc, result.ended) == (State.STOPPED, 0.7, 2.0)
    assert result.curve == curve[:3] == tuple(told)


def test_two_thousand_workers_are_kept_busy() -> None:
    random = generator(0, "durations")
    pool = SimulatedExecutor(lambda t: (Result(t.number, State.FINISHED, auc=0.5), random.exponential()), slots=2000)
    futures, number, spent = {pool.submit(trial(n)) for n in range(2000)}, 2000, 0.0
    while number < 12_000:
        done = pool.wait(futures, None)
        futures -= done
        for future in done:
            spent += future.result().costs.worker_seconds
            futures.add(pool.submit(trial(number)))
            number += 1
    running = sum(pool.now() - s.since for s in pool.status())
    assert spent + running > 0.999 * 2000 * pool.now()
