"""Show the progress of a training."""

from __future__ import annotations

import lightning

from pose_core.data.batches import Batch
from pose_core.reporting import Reporter
from pose_core.training.best_checkpoint import BestCheckpoint
from pose_core.training.schedule_callback import ScheduleCallback


class TrainingProgress(lightning.Callback):
    """Tells a reporter how far training is, and the latest metrics."""

    def __init__(
        self, reporter: Reporter, schedule: ScheduleCallback, best_checkpoint: BestCheckpoint
    ) -> None:
        self.reporter, self.schedule, self.best_checkpoint = reporter, schedule, best_checkpoint

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        # The last batch of an epoch is told with the metrics of the epoch, below.
        if trainer.is_global_zero and not trainer.is_last_batch:
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            self._tell(trainer)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # A training that is stopped early, by time or by hand, is over, too.
        if trainer.is_global_zero:
            self.reporter.progress(f"training  {self._metrics(trainer)}", 1.0, 1.0)

    def _tell(self, trainer: lightning.Trainer) -> None:
        self.reporter.progress(f"training  {self._metrics(trainer)}", float(self.schedule.progress), 1.0)

    def _metrics(self, trainer: lightning.Trainer) -> str:
        text = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if "loss" in self.best_checkpoint.latest:
            text += f"  loss {self.best_checkpoint.latest['loss']:.4g}"
        metric = self.best_checkpoint.selects
        if metric.key in self.best_checkpoint.latest:
            latest = metric.describe(self.best_checkpoint.latest[metric.key])
            text += f"  {metric.short} {latest} (best {self.best_checkpoint.best:.{metric.digits}f})"
        return text
