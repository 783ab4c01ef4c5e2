"""When a Newton step is halved, shortened or the last one, however it was found."""

from glmix_automl.models.design import compile_fast

NEWTON_STEPS = 100  # at most, halved ones included
DECREMENT = 1e-6  # square of the Newton decrement before the last step
OVERSHOT = 0.1  # share of the slope at a step's begin that its end may have, the other way
REACH = 2.0  # of a step, beside the largest score of an entity's rows


@compile_fast
def reach(score, move):  # type: ignore[no-untyped-def]
    """Share of a step, at most 1, that moves no score by more than `REACH` and the largest of them."""
    largest, farthest = 0.0, 1e-300
    for place in range(len(score)):
        largest, farthest = max(largest, abs(score[place])), max(farthest, abs(move[place]))
    return min(1.0, (REACH + largest) / farthest)
