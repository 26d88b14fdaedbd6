"""Share training images out among processes and steps, by seed and epoch alone, so that it is repeatable."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Yields the (epoch, row) of the images of each step.

    Every row comes once an epoch, shuffled. A step has the same rows whatever the number of processes, which share
    them out; so a training may go on with another number. The epoch travels with the row because worker processes
    hold copies of the dataset that no later call reaches.

    Args:
        count: number of rows.
        size: of a step: rows of all processes together.
        seed: of the order.
        rank, world: this process and their number.

    Attributes:
        sampler: itself, where Lightning looks for what it may tell the epoch.
    """

    def __init__(self, count: int, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.size, self.seed, self.rank, self.world = count, size, seed, rank, world
        self.epoch = 0
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls it before every one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()
        for step in range(len(self)):
            rows = order[step * self.size : (step + 1) * self.size]
            # All processes take part in a step. Who has no row in the last one computes a row of another, which
            # counts nothing: see :meth:`weigh`.
            own = rows[self.rank :: self.world] or rows[:1]
            yield [(self.epoch, row) for row in own]

    def weigh(self, step: int) -> float:
        """Return the weight of this process's mean loss in a step of an epoch, 1 where all have as many rows.

        The mean over processes of their weighted losses is then the mean over the rows of the step.
        """
        rows = min(self.size, self.count - step * self.size)
        own = len(range(self.rank, rows, self.world))
        return own * self.world / rows
