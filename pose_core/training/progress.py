"""What the user sees while a model trains."""

from __future__ import annotations

from typing import Any

import lightning
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pose_core.data.dataset import Batch
from pose_core.training.best_checkpoint import BestCheckpoint
from pose_core.training.schedule_callback import ScheduleCallback


class TrainingProgress(lightning.Callback):
    """A bar over the whole training on a terminal; a line a tenth of it elsewhere."""

    def __init__(self, console: Console, schedule: ScheduleCallback, best_checkpoint: BestCheckpoint) -> None:
        self.console, self.schedule, self.best_checkpoint = console, schedule, best_checkpoint
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.printed = -1

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[metrics]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False),
                console=self.console,
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0, metrics="")

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=self.schedule.progress, metrics=self._metrics(trainer))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        tenth = int(10 * self.schedule.progress)
        if trainer.is_global_zero and self.bar is None and tenth > self.printed and self.best_checkpoint.latest:
            self.printed = tenth
            self.console.print(
                f"training {100 * self.schedule.progress:3.0f} %  {self._metrics(trainer)}", highlight=False
            )

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _metrics(self, trainer: lightning.Trainer) -> str:
        text = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if "loss" in self.best_checkpoint.latest:
            text += f"  loss {self.best_checkpoint.latest['loss']:.4g}"
        if "error" in self.best_checkpoint.latest:
            text += f"  validation {self.best_checkpoint.latest['error']:.2f}{self.best_checkpoint.metric.unit}"
            text += f" (best {self.best_checkpoint.best:.2f})"
        return text
