"""Draw pictures at validations: what the network sees and learns, and what it puts out by now."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from pose_core.data.batches import Batch, collate
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.pictures.batch import draw_training_batch, to_bytes
from pose_core.pictures.network import draw_looks, look_at
from pose_core.pictures.panels import draw_boxes, show_image
from pose_core.pictures.sheet import Panel, Row, draw_sheet, write_picture
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray
from pose_core.training.best_checkpoint import BestCheckpoint
from pose_core.training.loggers import Loggers
from pose_core.training.module import Training
from pose_core.training.task import Task

FOLDER = "pictures"


class PicturesCallback(lightning.Callback):
    """Draw a batch and the maps after every so many validations, and after the last.

    ``pictures/epoch_0010_batch.png`` has training images with their targets, augmented anew each time;
    ``..._maps.png`` has what the network whose weights are kept puts out for validation images (training images,
    where there are none). Loggers get them, too. Nothing of it changes the training.

    Args:
        run: gets the pictures.
        task: of the network.
        best: validates; comes before this one among the callbacks.
        loggers: of the first process.
        every: validations between pictures.
        images: in a picture.
    """

    def __init__(
        self,
        run: Run[Any],
        task: Task[Any],
        best: BestCheckpoint,
        loggers: Loggers | None,
        every: int,
        images: int,
    ) -> None:
        self._run, self._task, self._best, self._every = run, task, best, every
        self._loggers = loggers
        self._seen = best.latest
        split = task.prepared.split
        order = np.random.default_rng(0)
        shown = split.validation or split.train
        # The same images each time, so that pictures can be compared.
        self._learned = tuple(order.permutation(split.train)[:images].tolist())
        self._shown = tuple(order.permutation(shown)[:images].tolist())
        self._images = images

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw where it is time to."""
        assert isinstance(pl_module, Training)
        # Each validation has a record of its own.
        if self._best.latest is self._seen:
            return
        self._seen = self._best.latest
        epoch = trainer.current_epoch + 1
        # By the epoch, so that a training that was resumed draws when an undisturbed one does.
        number = epoch // self._best.train.validate_every
        last = epoch == trainer.max_epochs or trainer.should_stop
        if not trainer.is_global_zero or (number % self._every and not last):
            return
        model = pl_module.average
        training = model.training
        model.eval()
        pictures = {"batch": self._draw_batch(model, epoch), "maps": self._draw_maps(model, pl_module.device)}
        model.train(training)
        for name, picture in pictures.items():
            write_picture(self._run.path / FOLDER / f"epoch_{epoch:04d}_{name}.png", picture)
            if self._loggers is not None:
                self._loggers.log_image(f"pictures/{name}", picture, trainer.global_step)

    def _draw_batch(self, model: nn.Module, epoch: int) -> ByteArray:
        samples = self._task.samples(self._learned, augment=True)
        chosen = [samples[(epoch, number)] for number in range(min(self._images, len(samples)))]
        images = self._task.prepared.dataset.images
        names = [images[sample.index].name for sample in chosen]
        spec = self._task.prepared.spec
        skeleton = spec.finds if isinstance(spec, RunSpec) else spec.skeleton
        return draw_training_batch(model, collate(chosen), names, skeleton)

    def _draw_maps(self, model: nn.Module, device: torch.device) -> ByteArray:
        samples = self._task.samples(self._shown, augment=False)
        chosen = [samples[number] for number in range(min(self._images, len(samples)))]
        batch = collate(chosen).to(device)
        names = [self._task.prepared.dataset.images[sample.index].name for sample in chosen]
        title = "What the network puts out"
        if isinstance(model, DetectorModel):
            return _draw_detections(title, model, batch, names)
        assert isinstance(model, PoseModel)
        with torch.inference_mode():
            size = (batch.images.shape[-2], batch.images.shape[-1])
            extra = model.extra_for_training(batch.labels, size)
            outputs = model(model.normalise(batch.images), **extra)
            return draw_looks(title, look_at(model, batch.images, extra, outputs), names)


def _draw_detections(title: str, model: DetectorModel, batch: Batch, names: list[str]) -> ByteArray:
    boxes, scores = model.predict(batch.images)

    def draw(image: ByteArray, found: Tensor, score: Tensor, axes: Axes) -> str:
        show_image(axes, image)
        kept = score > 0
        draw_boxes(axes, found[kept].cpu().numpy(), score[kept].cpu().numpy())
        return f"{int(kept.sum())} found"

    def panel(number: int, image: ByteArray) -> Panel:
        shape = image.shape[0] / image.shape[1]
        return Panel("boxes", lambda axes: draw(image, boxes[number], scores[number], axes), shape)

    images = to_bytes(batch.images)
    rows = [
        Row(name, [panel(number, image)])
        for number, (name, image) in enumerate(zip(names, images, strict=True))
    ]
    return draw_sheet(title, rows)
