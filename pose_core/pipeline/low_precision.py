"""Let a runtime compute a pose network with 16 or 8 bits, compared with 32 bits before it is used.

Keypoints on validation images of the run say what is lost. Of 8 bits, images of its training say which ranges values
have. Both go through the whole pipeline of the run, so that the network gets what it gets in predictions: crops, extra
inputs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_core.data.matching import match_animals
from pose_core.errors import ConfigError, DataError, PoseError, argument, readable, setting
from pose_core.io.files import parse_json, write_whole
from pose_core.model.runner import use_runtime
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.networks import RunNetwork, Tensors, record_inputs
from pose_core.pipeline.plan import labelled_sources, make_pipeline
from pose_core.pipeline.sources import ImageSource
from pose_core.reporting import current_reporter
from pose_core.runs.run_folder import Run
from pose_core.runs.split_images import SplitImages, split_images
from pose_core.specs import RunSpec, RuntimeConfig
from pose_core.structures import Frame, LabelledImage

CALIBRATED_WITH = 300
"""Images, or crops, that ranges of values are taken from, at most."""

COMPARED_ON = 300
"""Validation images that keypoints are compared on, at most."""

LARGEST_DRIFT = 0.5
"""Pixels that keypoints may move in the mean."""

WAYS: dict[int, tuple[tuple[str, ...], ...]] = {16: ((),), 8: ((), ("model.heads",))}
"""By precision, parts that stay in float32, in the order in which it is tried: heads put out coordinates, and cost
little."""

_MEMORY = 1 << 30
_FILE = "drift.json"


@dataclass(frozen=True)
class Drift:
    """What fewer bits did to the keypoints on validation images.

    Attributes:
        mean, p95: distance to the keypoints of 32 bits, pixels of the image files; NaN where there are none.
        error_32, error_low: mean distance to the labels, pixels; NaN where nothing was found.
        keypoints: that were found both times.
        lost: that were found one time only, by fewer or by 32 bits.
        images: that were compared.
        calibrated: images or crops that the ranges were taken from; 0 of 16 bits, which need none.
        keep_float: parts that stay in float32.
    """

    mean: float
    p95: float
    error_32: float
    error_low: float
    keypoints: int
    lost: int
    images: int
    calibrated: int
    keep_float: tuple[str, ...] = ()

    @property
    def small(self) -> bool:
        """Whether it may be used: keypoints move little, and none in twenty is found one time only."""
        # Not "mean > ...": NaN is no small one.
        return self.mean <= LARGEST_DRIFT and self.lost <= 0.05 * (self.keypoints + self.lost)

    def __str__(self) -> str:
        """In one line."""
        lost = f", {self.lost} found with one of both only" if self.lost else ""
        kept = f"; {', '.join(self.keep_float)} in 32 bits" if self.keep_float else ""
        return (
            f"on {self.images} validation images keypoints move by {self.mean:.3f} px in the mean (95 %: "
            f"{self.p95:.3f} px{lost}), and their error changes from {self.error_32:.3f} to {self.error_low:.3f} px"
            f"{kept}"
        )


def use_fewer_bits(
    network: RunNetwork, config: RuntimeConfig, cache: Path, precision: int, *, accept_drift: bool
) -> None:
    """Let a runtime compute a network with 16 or 8 bits.

    16 bits need no images to be made of: where those to compare with are out of reach, as of a published network, a
    note says so.

    Args:
        network: of a run that was trained here, or whose labelled images can be reached.
        config: of the runtime.
        cache: folder for what it keeps.
        precision: 16 or 8.
        accept_drift: use it even where keypoints move by more than :data:`LARGEST_DRIFT`.

    Raises:
        ConfigError: with 8 bits the images cannot be reached; the runtime cannot take the network, or keypoints move
            too far.
        PluginError: the runtime fails.
    """
    model, run = network.model, network.run
    drift = _read(cache)
    if drift is None:
        try:
            compared = split_images(run, "validation")
            ranges = split_images(run, "train") if precision == 8 else None
        except PoseError as error:
            # What it advises is for a command that reads labels.
            reason = readable(str(error)).partition("; ")[0]
            if precision == 16:
                use_runtime(model, config, cache, run.name, 16)
                current_reporter().note(
                    f"note: precision 16: {run.name} was not compared with 32 bits: {reason}; "
                    f"{setting('data.source=PATH')} says where its images are now"
                )
                return
            raise ConfigError(
                f"precision 8: needs the images that {run.name} was trained on: {reason}; "
                f"{setting('data.source=PATH')} says where they are now, precision 32 does without"
            ) from error
        # Of another version of the code, or damaged: nothing of it is known to be what was compared.
        shutil.rmtree(cache, ignore_errors=True)
        drift = _make(run, config, cache, model.device, precision, compared, ranges)
    if not drift.small and not accept_drift:
        raise ConfigError(
            f"precision {precision}: {run.name}: {drift}; more than {LARGEST_DRIFT} px, or one keypoint in twenty, is "
            f"not used without {argument('accept_drift', True)}"
        )
    use_runtime(model, config, cache, run.name, precision, keep_float=drift.keep_float)
    current_reporter().note(f"precision {precision}: {run.name}: {drift}")


def _make(
    run: Run[RunSpec],
    config: RuntimeConfig,
    cache: Path,
    device: torch.device,
    precision: int,
    compared: SplitImages,
    ranges: SplitImages | None,
) -> Drift:
    """Make the network of fewer bits in the cache, in the first way that moves keypoints little, else the last one.

    Args:
        run, config, cache, device, precision: as of :func:`use_fewer_bits`.
        compared: images to compare keypoints on.
        ranges: images to take the ranges of values from; None: none are needed.
    """
    # Frames of a sequence would go on from the one before, and a run may ask for fewer bits itself.
    inference = run.spec.inference.model_copy(update={"follow": False, "precision": 32})
    plain = replace(run, spec=run.spec.model_copy(update={"inference": inference}))
    tensors: list[Tensors] = []
    if ranges is not None:
        current_reporter().note(f"precision 8: calibrating {run.name} with images of its training; once")
        tensors = _record(plain, ranges, device)
        if not tensors:
            raise ConfigError(
                f"precision 8: no training image of {run.name} reaches its network; use precision 32"
            )
    rows = compared.rows[:: -(-len(compared.rows) // COMPARED_ON)]
    labels = [compared.dataset.images[row] for row in rows]
    pipeline, own = _make_pipeline(plain, labels, device, precision)
    wanted = _predict(pipeline, run.name, labels)
    several = run.spec.finds.num_individuals > 1
    drift: Drift | None = None

    def calibration() -> list[tuple[Tensor, ...]]:
        return tensors

    for keep_float in WAYS[precision]:
        use_runtime(
            own.model, config, cache, run.name, precision, None if ranges is None else calibration, keep_float
        )
        found = _predict(pipeline, run.name, labels)
        drift = compare(
            labels, wanted, found, several=several, calibrated=len(tensors), keep_float=keep_float
        )
        if drift.small:
            break
    assert drift is not None
    content = {"drift": asdict(drift), "files": _hash_files(cache)}
    cache.mkdir(parents=True, exist_ok=True)
    write_whole(cache / _FILE, json.dumps(content, indent=1))
    return drift


def _make_pipeline(
    run: Run[RunSpec], labels: Sequence[LabelledImage], device: torch.device, precision: int
) -> tuple[Pipeline, RunNetwork]:
    """The run's own pipeline; what nothing of its own supplies, the labels do. And its network in it."""
    sources, _ = labelled_sources(run, {})
    pipeline, plan = make_pipeline(run, device, run.spec.inference.batch_size, sources, labels)
    if pipeline.sequential:
        raise ConfigError(
            f"precision {precision}: {run.name} starts from the frame before, and labelled images are no sequence; use "
            "precision 32"
        )
    return pipeline, next(network for network in plan.networks if network.run.path == run.path)


def _record(run: Run[RunSpec], split: SplitImages, device: torch.device) -> list[Tensors]:
    """What the network is given for images of a split, one image or crop each."""
    rows = list(split.rows)
    # Neighbours in a project are neighbours in time.
    np.random.default_rng(0).shuffle(rows)
    rows = rows[:CALIBRATED_WITH]
    labels = [split.dataset.images[row] for row in rows]
    pipeline, own = _make_pipeline(run, labels, device, 8)
    kept: list[Tensors] = []

    def keep(_: int, tensors: Tensors) -> None:
        pixels, *extra = tensors
        floats = own.model.normalise(pixels)
        for i in range(len(pixels)):
            each: Tensors = tuple(tensor[i : i + 1].clone() for tensor in (floats, *extra))
            if len(kept) < CALIBRATED_WITH and (len(kept) + 1) * _measure(each) <= _MEMORY:
                kept.append(each)

    with record_inputs([own], keep):
        _predict(pipeline, run.name, labels)
    return kept


def _measure(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _predict(pipeline: Pipeline, name: str, labels: Sequence[LabelledImage]) -> list[Frame]:
    frames: list[Frame] = []
    for result in pipeline.run(ImageSource(name, [image.image for image in labels])):
        if damaged := [frame for frame in result.frames if frame.missing is not None]:
            raise DataError(damaged[0].missing)
        frames += result.frames
    return frames


def compare(
    labels: Sequence[LabelledImage],
    wanted: Sequence[Frame],
    found: Sequence[Frame],
    *,
    several: bool,
    calibrated: int,
    keep_float: tuple[str, ...] = (),
) -> Drift:
    """Compare keypoints that two precisions find in the same images.

    Args:
        labels: of the images.
        wanted: what 32 bits find.
        found: what fewer bits find.
        several: whether an image may hold more than one animal.
        calibrated, keep_float: of the network of fewer bits.
    """
    moved: list[np.ndarray] = []
    lost = 0
    for image, one, other in zip(labels, wanted, found, strict=True):
        # What 32 bits find in the place of the labels.
        distances, missing = _pair(replace(image, instances=one.instances), other, several=several)
        moved.append(distances)
        lost += missing
    errors = [
        np.concatenate(
            [_pair(image, frame, several=several)[0] for image, frame in zip(labels, frames, strict=True)]
        )
        for frames in (wanted, found)
    ]
    off = np.concatenate(moved)
    return Drift(
        mean=_mean(off),
        p95=float(np.percentile(off, 95)) if len(off) else float("nan"),
        error_32=_mean(errors[0]),
        error_low=_mean(errors[1]),
        keypoints=len(off),
        lost=lost,
        images=len(labels),
        calibrated=calibrated,
        keep_float=keep_float,
    )


def _pair(labels: LabelledImage, frame: Frame, *, several: bool) -> tuple[np.ndarray, int]:
    """Distances of keypoints of animals that belong together, pixels; and how many of either have no partner."""
    one, other = labels.instances.keypoints, frame.instances.keypoints
    pairs = match_animals(labels, frame, several=several)
    distances = np.linalg.norm(one[pairs.labelled] - other[pairs.predicted], axis=-1).astype(np.float64)
    both = distances[np.isfinite(distances)]
    present = sum(int(np.isfinite(points).all(axis=-1).sum()) for points in (one, other))
    return both, present - 2 * len(both)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _read(cache: Path) -> Drift | None:
    """What was compared, where the files are those that it was compared with; else None."""
    try:
        content = parse_json((cache / _FILE).read_text(encoding="utf-8"))
        if content["files"] != _hash_files(cache):
            return None
        drift = Drift(**content["drift"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return replace(drift, keep_float=tuple(drift.keep_float))


def _hash_files(cache: Path) -> dict[str, str]:
    files = sorted(path for path in cache.rglob("*") if path.is_file() and path.name != _FILE)
    return {
        path.relative_to(cache).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
