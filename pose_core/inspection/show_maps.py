"""Draw what the networks of a run put out, stage by stage: ``pose show-maps``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pose_core.errors import ConfigError, DataError, VideoError, argument
from pose_core.interfaces import FrameGeometry, FrameGroup, Stage, StageResult, View
from pose_core.io.name_lengths import check_name
from pose_core.model.device import choose_device
from pose_core.pictures.network import NetworkLook, record_networks
from pose_core.pictures.panels import count, draw_boxes, draw_poses, name_colours, show_image
from pose_core.pictures.sheet import Panel, Row, draw_sheet, write_picture
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.given_sources import Source
from pose_core.pipeline.plan import make_detector_pipeline, make_pipeline
from pose_core.pipeline.sources import FrameSource, SourceFrame
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.frame_region import GivenRegion, Regions
from pose_core.prediction.inputs import find_inputs, unique_names
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import ByteArray, Frame, Region, Skeleton

_INPUTS = 4
"""Inputs of one stage that are drawn, at most; of crops there is one an animal."""

_FRAMES = 4
"""Frames of a video that are drawn where none are named."""

_COLUMNS = 6
"""Panels beside each other where each map has its own."""


def draw_maps(
    run: Path | str,
    images: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    frames: Sequence[int] | None = None,
    each: bool = False,
    device: str = "auto",
    region: GivenRegion = None,
    **sources: Path | str | None,
) -> list[Path]:
    """Draw what the networks of a run put out; ``pose show-maps`` in Python.

    The first row of a picture has the frame as each stage leaves it, a stage a column, and the result. Below it is
    a row for each input of a network (the frame, or the first four crops): the input with what is found in it, the
    extra inputs, each output over it, and the candidates before they are put together. Colours are those of
    keypoints, limbs or individuals, and the line above a panel says which values are transparent and opaque.

    Args:
        run: folder that ``pose train`` made.
        images: images, folders of images, or videos.
        out: folder that gets a picture for each frame; or, of one frame, a file that ends in .png. Pictures that
            are there are replaced.
        frames: numbers of frames, from 0, of every input; by default all images, and four frames of a video.
        each: also a picture for each output, with a panel for each of its maps.
        device, region, sources: as for :func:`pose_core.load`.

    Returns:
        the pictures.

    Raises:
        PoseError: the run, an input or a source cannot be used, a frame is not there, or ``out`` cannot be written.
    """
    paths = [Path(images)] if isinstance(images, Path | str) else [Path(image) for image in images]
    target = Path(out)
    check_name(target)
    opened = Run.open(run)
    found = _find_frames(opened, paths, frames)
    if (single := target.suffix.lower() == ".png") and (len(found) != 1 or each):
        what = f"{len(found)} frames" if len(found) != 1 else "one picture an output"
        raise ConfigError(f"{argument('out', str(target))}: is one picture, not {what}; name a folder")
    if target.exists() and target.is_dir() == single:
        raise ConfigError(
            f"{argument('out', str(target))}: is a {'folder' if single else 'file'}; choose another name"
        )
    looker = _Looker.open(opened, device, sources, region)
    written: list[Path] = []
    for frame in found:
        looked = looker.look(frame)
        path = target if single else target / f"{frame.name}.png"
        write_picture(path, looked.draw(f"{opened.name}: {frame.name}"))
        written.append(path)
        for name, picture in looked.pictures_by_label() if each else ():
            path = target / f"{frame.name}.{name}.png"
            write_picture(path, picture)
            written.append(path)
    return written


@dataclass(frozen=True)
class _FrameToShow:
    name: str
    source: FrameSource
    path: Path
    index: int

    def read(self) -> tuple[ByteArray, str | None]:
        """(H, W, 3) uint8 RGB, and the name of its file as text; None for a frame of a video.

        Raises:
            DataError: it cannot be decoded.
        """
        item: SourceFrame = next(self.source.read(self.index))
        if item.load is None:
            raise DataError(f"{self.path}: frame {self.index} cannot be decoded: {item.reason}")
        return item.load(), item.image


def _find_frames(
    run: Run[RunSpec | DetectorRunSpec], paths: Sequence[Path], frames: Sequence[int] | None
) -> list[_FrameToShow]:
    depth = run.spec.data.decided_bit_depth()
    if not paths:
        raise DataError("nothing to show: name at least one image or video")
    inputs = find_inputs(paths, lambda path: VideoSource(path, 1, depth), depth).found
    shown: list[tuple[Path, FrameSource, int]] = []
    for given in inputs:
        if isinstance(given.source, VideoError):
            raise given.source
        count = given.source.info.frames
        numbers: Sequence[int] = range(count)
        if frames is not None:
            numbers = list(dict.fromkeys(frames))
        elif given.source.video is not None and count > _FRAMES:
            # In the middle of as many equal parts.
            numbers = [int((part + 0.5) * count / _FRAMES) for part in range(_FRAMES)]
        if missing := [number for number in numbers if not 0 <= number < count]:
            raise DataError(
                f"{given.path}: has no frame {missing[0]}; it has {count} frames, numbered from 0"
            )
        shown += [(given.path, given.source, number) for number in numbers]
    names = []
    for path, source, number in shown:
        image = None if source.video is not None else _name_image(source, number)
        names.append(f"{path.stem}_{number:06d}" if image is None else Path(image).stem)
    unique = unique_names(names, [path for path, _, _ in shown])
    return [
        _FrameToShow(name, source, path, number)
        for name, (path, source, number) in zip(unique, shown, strict=True)
    ]


def _name_image(source: FrameSource, number: int) -> str | None:
    return next(source.read(number)).image


class _Recording(Stage):
    """A stage that notes what it found and what its networks put out."""

    def __init__(self, stage: Stage, steps: list[_Step], name: str) -> None:
        self._stage, self._steps, self._name = stage, steps, name
        self.needs_frames, self.sequential = stage.needs_frames, stage.sequential

    def begin(self, previous: Frame | None) -> Stage:
        return _Recording(self._stage.begin(previous), self._steps, self._name)

    def view(self, width: int, height: int) -> FrameGeometry | None:
        return self._stage.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        looks: list[NetworkLook] = []
        with record_networks(looks):
            result = self._stage.run(group, view, found)
        self._steps.append(_Step(self._name, result.to("cpu"), looks))
        return result


@dataclass(frozen=True)
class _Step:
    """What one stage did with a frame."""

    name: str
    found: StageResult
    looks: list[NetworkLook]


@dataclass(frozen=True)
class _Looked:
    """A frame, what the stages did with it, and the result."""

    image: ByteArray
    steps: Sequence[_Step]
    result: Frame
    skeleton: Skeleton

    def draw(self, title: str) -> ByteArray:
        """Draw the picture: (H, W, 3) uint8 RGB."""
        return draw_sheet(title, self._rows(), name_colours(self.skeleton))

    def _rows(self) -> list[Row]:
        shape = self.image.shape[0] / self.image.shape[1]
        first = [
            Panel(f"stage {number}: {step.name}", partial(self._draw_step, step), shape)
            for number, step in enumerate(self.steps, 1)
        ]
        rows = [Row("frame", [*first, Panel("result", self._draw_frame, shape)])]
        for number, step in enumerate(self.steps, 1):
            for place, look in enumerate(step.looks[:_INPUTS], 1):
                of = f", {place} of {len(step.looks)}" if len(step.looks) > 1 else ""
                rows.append(Row(f"stage {number}{of}", look.panels()))
        return rows

    def pictures_by_label(self) -> Iterator[tuple[str, ByteArray]]:
        """For each output with several maps a name and a picture with a panel for each map."""
        for number, step in enumerate(self.steps, 1):
            for place, look in enumerate(step.looks[:_INPUTS], 1):
                for name, panels in look.panels_by_label():
                    rows = [Row("", panels[at : at + _COLUMNS]) for at in range(0, len(panels), _COLUMNS)]
                    part = f"stage{number}-{place}" if len(step.looks) > 1 else f"stage{number}"
                    yield f"{part}.{name}", draw_sheet(f"{name}, stage {number}: {step.name}", rows)

    def _draw_step(self, step: _Step, axes: Axes) -> str:
        show_image(axes, self.image)
        found = step.found
        if found.predictions is None:
            assert found.boxes is not None
            scores = None if found.box_scores is None else found.box_scores[0].float().numpy()
            boxes = found.boxes[0].float().numpy()
            draw_boxes(axes, boxes, scores)
            return count(int(np.isfinite(boxes).all(axis=-1).sum()), "animal")
        points = found.predictions.keypoints[0].float().numpy()
        there = found.predictions.scores[0].numpy() > 0
        draw_poses(axes, points[there], self.skeleton, by_animal=self.skeleton.num_individuals > 1)
        return count(int(there.sum()), "animal")

    def _draw_frame(self, axes: Axes) -> str:
        show_image(axes, self.image)
        animals = self.result.instances
        draw_poses(
            axes,
            animals.keypoints,
            self.skeleton,
            unique=self.result.unique_keypoints,
            by_animal=self.skeleton.num_individuals > 1,
        )
        if not np.isfinite(animals.keypoints).any():
            draw_boxes(axes, animals.boxes, animals.scores)
        return count(len(animals), "animal") + (
            f", mean score {animals.scores.mean():.2f}" if len(animals) else ""
        )


@dataclass(frozen=True)
class _Looker:
    """The pipeline of a run, whose stages note what they do."""

    pipeline: Pipeline
    steps: list[_Step]
    regions: Regions

    @classmethod
    def open(
        cls,
        run: Run[RunSpec | DetectorRunSpec],
        device: str,
        sources: Mapping[str, Source],
        region: GivenRegion,
    ) -> _Looker:
        """Load the networks.

        Raises:
            PoseError: the run or a source cannot be used.
        """
        chosen = choose_device(device)
        if isinstance(run.spec, DetectorRunSpec):
            if given := [name for name, value in sources.items() if value is not None]:
                raise ConfigError(
                    f"{run.path}: holds a detector, which needs no {argument(given[0])}; leave it out"
                )
            pipeline, names = make_detector_pipeline(run.of(DetectorRunSpec), chosen, 1)[0], ["detector"]
        else:
            poses = run.of(RunSpec)
            # Single frames are no sequence, of which one would say where to look in the next.
            inference = poses.spec.inference.model_copy(update={"follow": False})
            poses = replace(poses, spec=poses.spec.model_copy(update={"inference": inference}))
            pipeline, plan = make_pipeline(poses, chosen, 1, sources)
            names = plan.names
        steps: list[_Step] = []
        pipeline.stages = [
            _Recording(stage, steps, name) for stage, name in zip(pipeline.stages, names, strict=True)
        ]
        return cls(pipeline, steps, Regions.of(region, run.spec.data))

    def look(self, frame: _FrameToShow) -> _Looked:
        """Predict one frame.

        Raises:
            DataError: it cannot be decoded.
        """
        image, name = frame.read()
        region: Region | None = self.regions.only_of_source(frame.source, str(frame.path))
        self.steps.clear()
        (result,) = self.pipeline.run_once([image], frame.index, region=region, names=[name])
        if result.missing is not None:
            raise DataError(f"{frame.path}: frame {frame.index}: {result.missing}")
        if region is not None:
            # Stages count pixels from its corner.
            image = np.ascontiguousarray(image[region.y1 : region.y2, region.x1 : region.x2])
            result = result.moved(-region.x1, -region.y1)
        return _Looked(image, list(self.steps), result, self.pipeline.skeleton)
