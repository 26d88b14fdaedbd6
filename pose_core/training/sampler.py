"""Order training images by seed and epoch alone, so that it is repeatable."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, row): every row once an epoch, shuffled, shared out among processes.

    The epoch travels with the row because worker processes hold copies of the dataset that no later call
    reaches.

    Args:
        count: number of rows.
        seed: of the order.
        rank, world: this process and their number; all get equally many rows (the first ones again if need
            be).
    """

    def __init__(self, count: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.seed, self.rank, self.world = count, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls it before every one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.world)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        # Repeats the first rows: processes with fewer steps than others would leave those waiting.
        order = np.resize(order, len(self) * self.world)
        return iter([(self.epoch, int(row)) for row in order[self.rank :: self.world]])
