"""Let heads decide settings by the data after training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from pose_core.catalog.merge import merge
from pose_core.data.batches import Batch
from pose_core.interfaces import Calibration, Head, Labels, Predictor
from pose_core.model.assemble import PoseModel
from pose_core.model.transfer import network_of
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.specs.yaml_file import validate
from pose_core.training.validation import sum_errors

TRAINING_IMAGES = 300
"""Of so many training images, at most, a head sees its outputs."""

CALIBRATED = "calibrated"
"""Entry of metrics.json: the keys that were decided so."""


def spread(rows: Sequence[int]) -> tuple[int, ...]:
    """Choose at most :data:`TRAINING_IMAGES` of the rows, evenly."""
    step = max(1, -(-len(rows) // TRAINING_IMAGES))
    return tuple(rows[::step])


def calibrate(
    run: Run, training: Iterable[Batch], validation: Iterable[Batch], device: torch.device, reporter: Reporter
) -> Run:
    """Let each head decide, and write it to the run's configuration.

    Args:
        run: with its best weights.
        training, validation: batches without augmentation, as often as they are asked for.
        device: where the network is to compute.
        reporter: is told what was decided.

    Returns:
        the run, with its new configuration.
    """
    heads = [cast(Head, head) for head in network_of(run.spec.model, run.spec.finds).heads.values()]
    # Asked of the classes, so that a model without such heads is neither loaded nor run over images.
    if all(type(head).calibrate is Head.calibrate for head in heads):
        return run
    model = run.load_model(device)
    decided: dict[str, object] = {}
    for name, head in model.heads.items():
        part = cast(Head, head).calibrate(_Shown(model, name, training, validation, run.spec, device))
        if part:
            decided[name] = part
    if not decided:
        return run
    changes = {"model": {"heads": decided}}
    keys = dict(_iterate_leaves(changes))
    for key, value in keys.items():
        reporter.note(f"decided by the data: {key}: {value}")
    run = run.with_spec(validate(merge(run.spec.model_dump(mode="json"), changes), {}))
    run.update_metrics(**{CALIBRATED: sorted(keys)})
    return run


class _Shown(Calibration):
    """The outputs of one head."""

    def __init__(
        self,
        model: PoseModel,
        name: str,
        training: Iterable[Batch],
        validation: Iterable[Batch],
        spec: RunSpec,
        device: torch.device,
    ) -> None:
        self.seed = spec.train.seed
        self._model = model
        self._name = name
        self._training = training
        self._validation = validation
        self._device = device

    def training(self) -> Iterator[tuple[Mapping[str, Tensor], Labels]]:
        for batch in self._training:
            moved = batch.to(self._device)
            yield self._outputs(moved)[self._name], self._model.targets(moved.labels)

    def errors(self, predictors: Sequence[Predictor]) -> list[float]:
        head = cast(Head, self._model.heads[self._name])
        own, totals, count = head.predictor, [0.0] * len(predictors), 0
        try:
            for batch in self._validation:
                outputs = self._outputs(batch.to(self._device))
                for i, predictor in enumerate(predictors):
                    head.predictor = predictor
                    with torch.inference_mode():
                        found = self._model.decode(outputs).to("cpu")
                    error, labelled = sum_errors(self._model, found, batch)
                    totals[i] += error
                count += labelled
        # The model goes on to the next head, which must see it as it was.
        finally:
            head.predictor = own
        return [total / max(count, 1) for total in totals]

    @torch.inference_mode()
    def _outputs(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        extra = self._model.extra_for_training(batch.labels, (batch.images.shape[-2], batch.images.shape[-1]))
        return self._model(self._model.normalise(batch.images), **extra)  # type: ignore[no-any-return]


def _iterate_leaves(content: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _iterate_leaves(value, where)
        else:
            yield where, value
