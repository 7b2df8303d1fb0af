"""In which order the contenders take their turns."""

import random


def shuffled(contenders: int, count: int, seed: int) -> list[int]:
    """Every contender `count` times, in random order; the same for the same seed."""
    order = round_robin(contenders, count)
    random.Random(seed).shuffle(order)
    return order


def round_robin(contenders: int, count: int) -> list[int]:
    """One of each, again and again."""
    return list(range(contenders)) * count
