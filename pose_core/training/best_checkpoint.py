"""Validate during training, keep the best weights, write checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch

from pose_core.data.batches import Batch
from pose_core.errors import PoseError
from pose_core.io.files import put_in_place
from pose_core.runs.run_folder import CHECKPOINTS, HISTORY, Run
from pose_core.runs.snapshots import save_snapshot
from pose_core.specs import RunBase
from pose_core.specs.train import DecidedTrainSpec
from pose_core.training.history import History
from pose_core.training.loggers import Loggers
from pose_core.training.module import Training
from pose_core.training.schedule_callback import ScheduleCallback
from pose_core.training.validation_metrics import ValidationMetric

LAST = "last.ckpt"


class TrainingError(PoseError):
    """Training cannot go on."""


class BestCheckpoint(lightning.Callback):
    """Validate, keep the best weights, record and checkpoint.

    At the end of every ``validate_every``-th epoch, and of the last one.

    Args:
        metrics: the first one selects the weights, of equal ones the next.

    Attributes:
        best: what the selecting metric was of the best weights so far (the lowest training loss without
            validation images).
        best_epoch: their epoch, from 1.
        latest: loss and metrics of the last validation, by key, for the progress bar.
        started: whether the first step was reached: all of a checkpoint was taken up then.
    """

    def __init__(
        self,
        run: Run[RunBase],
        train: DecidedTrainSpec,
        metrics: Sequence[ValidationMetric[Any]],
        batches: Iterable[Batch] | None,
        schedule: ScheduleCallback,
        loggers: Loggers | None,
    ) -> None:
        self.run = run
        self.train = train
        self.metrics = metrics
        self.selects = metrics[0]
        self.batches = batches
        self.schedule = schedule
        self.loggers = loggers
        self.history = History(run.path / HISTORY)
        self._best: tuple[float, ...] = (math.inf,)
        self.best_epoch = 0
        self.without_improvement = 0
        self.latest: dict[str, float] = {}
        self.started = False

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Validate, record and checkpoint where it is time to."""
        assert isinstance(pl_module, Training)
        train = self.train
        epoch = trainer.current_epoch + 1
        if epoch % train.validate_every and epoch != trainer.max_epochs and not trainer.should_stop:
            return
        losses = pl_module.pop_losses()
        if not math.isfinite(losses.get("loss", 0.0)):
            which = ", ".join(
                name for name, value in losses.items() if name != "loss" and not math.isfinite(value)
            )
            raise TrainingError(
                f"the loss ({which or 'the sum'}) is no longer a finite number at epoch {epoch}; lower "
                f"train.optimizer.lr (now {train.optimizer.lr:g}) or set train.gradient_clip"
            )
        values = self.validate(trainer, pl_module)
        measured = self.selects.key in values
        # Without validation images the training loss has to choose the weights.
        ranks = self._rank(values) if measured else (losses["loss"],)
        # Each process has a training loss of its own, and all must agree on rates, weights and the end.
        ranks = tuple(trainer.strategy.broadcast(ranks))
        self.schedule.schedule.observe(ranks[0])
        better = ranks < self._best
        self.latest = {"loss": losses["loss"], **values}
        self.without_improvement = 0 if better else self.without_improvement + 1
        if better:
            self._best, self.best_epoch = ranks, epoch
        if train.early_stopping is not None and self.without_improvement >= train.early_stopping:
            trainer.should_stop = True
        if trainer.is_global_zero:
            self.history.add(
                {
                    "epoch": epoch,
                    "step": trainer.global_step,
                    "seconds": round(self.schedule.seconds, 3),
                    "learning_rate": self.schedule.learning_rate,
                    **{metric.key: values.get(metric.key) for metric in self.metrics},
                    **{name if name == "loss" else f"loss.{name}": value for name, value in losses.items()},
                }
            )
            if better:
                best = values if measured else {"training_loss": ranks[0]}
                self.run.save_weights(pl_module.average.state_dict(), best={"epoch": epoch, **best})
            if self._keeps(epoch, trainer.max_epochs, trainer.should_stop):
                save_snapshot(
                    self.run,
                    epoch,
                    pl_module.average.state_dict(),
                    {"loss": losses["loss"], **values},
                    train.keep.most,
                )
            if self.loggers is not None:
                logged = {f"train/{name}": value for name, value in losses.items()}
                logged |= {key.replace("_", "/", 1): value for key, value in values.items()}
                logged["learning_rate"] = self.schedule.learning_rate
                self.loggers.log_metrics(logged, trainer.global_step)
        self._checkpoint(trainer)

    def _keeps(self, epoch: int, last: int | None, stops: bool) -> bool:
        """Whether a snapshot is due: by the epoch alone, so that a resumed training keeps the same ones."""
        every = self.train.keep.every
        if every is None:
            return False
        before = (epoch - 1) // self.train.validate_every * self.train.validate_every
        return epoch == last or stops or epoch // every > before // every

    @property
    def best(self) -> float:
        return -self._best[0] if self.selects.higher_is_better else self._best[0]

    def _rank(self, values: dict[str, float]) -> tuple[float, ...]:
        """The metrics, turned so that lower is better: AP alone is 0 for many epochs, or 1, and says no more."""
        return tuple(
            -values[metric.key] if metric.higher_is_better else values[metric.key]
            for metric in self.metrics
            if metric.key in values
        )

    def validate(self, trainer: lightning.Trainer, module: Training) -> dict[str, float]:
        """Measure on the validation images, by key; nothing where there is nothing to find in them."""
        if self.batches is None:
            return {}
        start = time.monotonic()
        model = module.average
        training = model.training
        model.eval()
        if trainer.world_size > 1:
            _share_statistics(model)
        evidence = module.task.validate(model, self.batches, module.device)
        model.train(training)
        # Each process saw its share of the images, and all must agree on the best weights.
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, evidence)
            evidence = [batch for share in shares for batch in share]
        computed = {
            metric.key: metric.compute([batch[at] for batch in evidence])
            for at, metric in enumerate(self.metrics)
        }
        # With a fifth to spare, so that the last validation still ends within train.max_time.
        self.schedule.reserved = max(self.schedule.reserved, 1.2 * (time.monotonic() - start))
        # Images without anything to find (no animal with a labelled keypoint) cannot choose weights.
        return {key: value for key, value in computed.items() if value is not None}

    def _checkpoint(self, trainer: lightning.Trainer) -> None:
        folder = self.run.path / CHECKPOINTS
        fresh = folder / f".{LAST}"
        try:
            # All processes must call this, and the first one alone has a file to put in place.
            trainer.save_checkpoint(fresh, weights_only=False)
            if trainer.is_global_zero:
                put_in_place(fresh, folder / LAST)
        finally:
            if trainer.is_global_zero:
                fresh.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": list(self._best),
            "best_epoch": self.best_epoch,
            "without_improvement": self.without_improvement,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = tuple(state_dict["best"])
        self.best_epoch = state_dict["best_epoch"]
        self.without_improvement = state_dict["without_improvement"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """After a resume, drop the rows that a killed run wrote after its last checkpoint."""
        self.started = True
        if trainer.is_global_zero:
            self.history.resume(trainer.current_epoch)


def _share_statistics(model: torch.nn.Module) -> None:
    """Give all processes the statistics of batch norms that the first one has, whose weights are kept.

    Each process changes its own with the batches that it sees, so that they differ after the last step.
    """
    for buffer in model.buffers():
        if buffer.is_floating_point():
            shared = buffer.contiguous()
            torch.distributed.broadcast(shared, 0)
            if shared is not buffer and not torch.equal(shared, buffer):
                buffer.copy_(shared)


def checkpoint_path(folder: Path) -> Path:
    """Name the checkpoint that a run resumes from."""
    return folder / CHECKPOINTS / LAST
