"""Lightning module: training step, optimiser, average of weights."""

from __future__ import annotations

import copy
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from pose_core.data.batches import Batch
from pose_core.errors import ConfigError
from pose_core.training.ema import update_average
from pose_core.training.optimizers import make_optimizer
from pose_core.training.parts import freeze_norms, freeze_parts, group_parameters, list_frozen
from pose_core.training.sampler import EpochBatches
from pose_core.training.task import Task


class Training(lightning.LightningModule):
    """Train the network of a task.

    Attributes:
        model: what the optimiser changes.
        average: moving average of its weights; the same object as ``model`` without EMA.
    """

    def __init__(self, model: nn.Module, task: Task[Any], batches: EpochBatches) -> None:
        super().__init__()
        self.model = model
        self.train_spec = task.prepared.spec.train.decided()
        self.ema = self.train_spec.ema
        self.average = copy.deepcopy(model).requires_grad_(False) if self.ema is not None else model
        self.task = task
        self._batches = batches
        self._trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        self._averaged_step = 0
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Compute the sum of all losses of a batch."""
        losses = self.task.losses(self.model, batch)
        total = torch.stack(list(losses.values())).sum()
        # Where processes have unequally many images of a step, their losses count by these.
        if (weight := self._batches.weigh(batch_index)) != 1:
            losses, total = {name: weight * value for name, value in losses.items()}, weight * total
        for name, value in {"loss": total, **losses}.items():
            # Added up on the device: asking for the number every step would stop the device every step.
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        self._steps += 1
        return total

    def on_train_start(self) -> None:
        """Take up the count of steps of a resumed run."""
        self._averaged_step = self.global_step

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Follow the weights with the average."""
        # Not after batches whose gradients are only added up.
        if self.ema is not None and self.global_step != self._averaged_step:
            self._averaged_step = self.global_step
            update_average(self.average, self.model, self.ema, self.global_step)

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a resumed run repeats the same random numbers (dropout ...); freeze and
        thaw parts."""
        # The hash of a tuple of integers is the same in every process, unlike that of a text.
        torch.manual_seed(hash((self.train_spec.seed, self.current_epoch, self.global_rank)) % 2**63)
        if freeze := self.train_spec.freeze:
            # Here and not before training: DDP synchronises only what could be trained when it began.
            freeze_parts(self.model, self._trainable, list_frozen(freeze, self.current_epoch))
        if self.train_spec.freeze_norms:
            # After the parts, which put the network into training mode.
            freeze_norms(self.model)

    def pop_losses(self) -> dict[str, float]:
        """Average the losses since the last call, by name; ``loss`` is their sum. All processes must call it."""
        names, values = (
            list(self._sums),
            torch.stack([*self._sums.values(), torch.zeros((), device=self.device)]),
        )
        if self.trainer.world_size > 1:
            # A loss that is no number in one process ends all of them alike.
            values = self.trainer.strategy.reduce(values, reduce_op="mean")
        means = {name: float(value) / max(self._steps, 1) for name, value in zip(names, values, strict=False)}
        self._sums, self._steps = {}, 0
        return means

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser, see :func:`pose_core.training.parts.group_parameters`."""
        spec = self.train_spec.optimizer
        groups = group_parameters(self.model, spec)
        if not groups:
            raise ConfigError("the model has no trainable parameter; thaw some of it")
        return make_optimizer(spec, groups)
