"""The order in which a stage reads its training rows: a function of the seed, the stage and the epoch."""

import math
from functools import lru_cache

import numpy as np
import torch

from zoo.recipes.stage import Stage
from zoo.tasks.base import Split


def steps_per_epoch(stage: Stage, split: Split) -> int:
    """Return the optimizer steps of an epoch. Its last batch may be smaller, or is left out with `drop_last`."""
    steps = len(split) / stage.batch_size
    return max(math.floor(steps), 1) if stage.drop_last else math.ceil(steps)


@lru_cache(maxsize=1)
def shuffled_rows(rows: int, *key: int) -> list[int]:
    """Return a random order of `rows` rows; the key is the seed, the number of the stage and the epoch."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)
    order: list[int] = torch.randperm(rows, generator=torch.Generator().manual_seed(int(seed))).tolist()
    return order
