"""Send frames through the stages: decode, resize, compute and write at once.

Three threads work ahead of the caller, who gets the results in order and writes them: one reads the source,
one makes the views (with helpers where the network is on a device of its own), one runs the stages. The
queues between them are short, so that memory does not depend on the length of the source. Frame i is always
in batch ``i // batch_size``: a run that goes on after an interruption computes the same batches as one that
was never interrupted, and so the same numbers.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pose_core.data.device_warp import warp_frames
from pose_core.data.geometry import invert, warp
from pose_core.errors import PoseError
from pose_core.interfaces import FrameGeometry, FrameGroup, Stage, StageResult, View
from pose_core.interfaces.thresholds import Thresholds
from pose_core.pipeline.pixel_buffers import HostCopies, PixelBuffers
from pose_core.pipeline.results import HostResult, to_frames
from pose_core.pipeline.sources import FrameSource, SourceFrame
from pose_core.pipeline.threads import Channel, Flow, Stopped, Timing
from pose_core.structures import ByteArray, Frame, Instances, Region, Skeleton

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """Results of one batch.

    Attributes:
        frames: in order.
        sizes: the different (width, height) of the frames that could be decoded, as they are stored.
    """

    frames: list[Frame]
    sizes: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class _Group:
    """Frames of equal size, in host memory; ``stored`` is their size before they were cropped.

    ``raw`` has the frames themselves where the device makes the views, on the device where they were decoded there;
    ``pixels`` has the views where it does not.
    """

    rows: list[int]
    stored: tuple[int, int]
    size: tuple[int, int]
    pixels: list[Tensor | None]
    geometries: list[FrameGeometry | None]
    frames: Sequence[ByteArray]
    raw: Tensor | None = None


@dataclass(frozen=True)
class _Prepared:
    items: list[SourceFrame]
    reasons: list[str | None]
    groups: list[_Group]
    region: Region | None


@dataclass(frozen=True)
class _Computed:
    prepared: _Prepared
    found: list[HostResult]


class Pipeline:
    """The stages of a model and everything around them.

    Args:
        stages: in order.
        skeleton: of the model.
        device: where the stages compute.
        batch_size: frames a batch.
        threshold: keypoints with a lower score are reported as missing; of all, or by name.
        identity_threshold: less probable names of animals are not given; None: half of what a guess would be.
        device_views: whether frames are moved to the device as they are, which resizes them and cuts crops; None:
            where it is a GPU of CUDA.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        skeleton: Skeleton,
        device: torch.device,
        batch_size: int,
        threshold: float | Mapping[str, float] = 0.0,
        identity_threshold: float | None = None,
        device_views: bool | None = None,
    ) -> None:
        self.stages = list(stages)
        self.skeleton = skeleton
        self.device = device
        self.batch_size = batch_size
        self.threshold = Thresholds.of(threshold, skeleton)
        self.identity_threshold = identity_threshold
        self.device_views = device.type == "cuda" if device_views is None else device_views
        # On the CPU the network needs all cores; beside another device they are free for resizing.
        self.helpers = 1 if device.type == "cpu" else max(1, min(8, (os.cpu_count() or 1) - 2))
        # One estimator may be used by several threads, and the network computes for one at a time.
        self._computing = threading.Lock()
        self._buffers = PixelBuffers(pinned=device.type == "cuda")
        # Asked for each frame, and nearly always of one size; a folder of images may have many.
        self._geometries = lru_cache(maxsize=64)(self._make_geometries)

    def with_batch_size(self, batch_size: int) -> Pipeline:
        """Copy the pipeline with batches of another size; networks are shared."""
        other = copy(self)
        other.batch_size = batch_size
        return other

    @property
    def sequential(self) -> bool:
        """Whether what is found in a frame depends on the frame before."""
        return any(stage.sequential for stage in self.stages)

    def begin(self, previous: Frame | None = None) -> list[Stage]:
        """Begin a stream of frames; ``previous`` is the result before the first."""
        return [stage.begin(previous) for stage in self.stages]

    def run(
        self,
        source: FrameSource,
        start: int = 0,
        timing: Timing | None = None,
        previous: Frame | None = None,
        region: Region | None = None,
        stop: int | None = None,
    ) -> Generator[Result]:
        """Predict batch by batch, from frame ``start`` to the last, or to the one before ``stop``.

        Args:
            source: of the frames.
            start: first frame, a multiple of ``batch_size``.
            timing: is filled in.
            previous: the result of frame ``start - 1``.
            region: the part of frames to look at; None: all. Results are in pixels of the whole frame.
            stop: number of frames, counted from the first of the source, after which to end; a multiple of
                ``batch_size``, or all.

        Raises:
            PoseError: the source fails as a whole.
            Exception: whatever a stage raises.
        """
        # Other batches would have other rounding, and a resumed run other numbers than an uninterrupted one.
        if start % self.batch_size:
            raise ValueError(f"start must be a multiple of the batch size {self.batch_size}, not {start}")
        timing = timing or Timing()
        if previous is not None and region is not None:
            previous = previous.moved(-region.x1, -region.y1)
        stages = self.begin(previous)
        with Flow() as flow:
            read: Channel[SourceFrame] = flow.channel(self.batch_size)
            prepared: Channel[_Prepared] = flow.channel(1)
            computed: Channel[_Computed] = flow.channel(2)
            flow.start("read", lambda: self._read(source, start, stop, read, timing))
            flow.start("prepare", lambda: self._prepare_all(read, prepared, timing, region))
            flow.start("network", lambda: self._compute_all(prepared, computed, stages, timing))
            try:
                for batch in computed:
                    with timing.measure("network"):
                        for found in batch.found:
                            found.wait()
                    # Not before: copies to the device are asynchronous and read these buffers until then.
                    self._release(batch.prepared)
                    with timing.measure("write"):
                        result = self._make_result(batch)
                    timing.frames += len(result.frames)
                    yield result
            except Stopped:
                # Only says that another thread failed: the error of that thread is the one to raise.
                flow.check()
                raise

    def run_once(
        self,
        images: Sequence[ByteArray],
        first: int = 0,
        stages: Sequence[Stage] | None = None,
        region: Region | None = None,
        names: Sequence[str | None] | None = None,
        given: Sequence[Mapping[str, Instances]] | None = None,
    ) -> list[Frame]:
        """Predict a few images in memory, in this thread.

        Args:
            images: (H, W, 3) uint8 RGB each.
            first: number of the first.
            stages: from :meth:`begin`, to continue a stream.
            region: as for :meth:`run`.
            names: of image files, as text, which boxes in a file go by; None: they have none.
            given: for each image poses that came with it, by the name of their supplier; None: none came.
        """
        items = [
            SourceFrame(
                first + i,
                _make_loader(image),
                image=None if names is None else names[i],
                given={} if given is None else given[i],
            )
            for i, image in enumerate(images)
        ]
        computed = self._compute(self._prepare(items, map, Timing(), region), stages or self.begin())
        for found in computed.found:
            found.wait()
        self._release(computed.prepared)
        return self._make_result(computed).frames

    def _read(
        self,
        source: FrameSource,
        start: int,
        stop: int | None,
        out: Channel[SourceFrame],
        timing: Timing,
    ) -> None:
        frames = source.read(start)
        left = None if stop is None else stop - start
        try:
            while left is None or left > 0:
                with timing.measure("decode"):
                    frame = next(frames, None)
                if frame is None:
                    break
                out.put(frame)
                left = None if left is None else left - 1
        finally:
            # At once, so that the source says by the end of the results what of it was damaged.
            if isinstance(frames, Generator):
                frames.close()
        out.end()

    def _prepare_all(
        self,
        frames: Channel[SourceFrame],
        out: Channel[_Prepared],
        timing: Timing,
        region: Region | None,
    ) -> None:
        incoming = iter(frames)
        with ThreadPoolExecutor(self.helpers, "pose-helper") as pool:
            each: Callable[..., Any] = map if self.helpers == 1 else pool.map
            while items := list(islice(incoming, self.batch_size)):
                out.put(self._prepare(items, each, timing, region))
        out.end()

    def _compute_all(
        self, batches: Channel[_Prepared], out: Channel[_Computed], stages: Sequence[Stage], timing: Timing
    ) -> None:
        for batch in batches:
            with timing.measure("network"):
                computed = self._compute(batch, stages)
            out.put(computed)
        out.end()

    def _prepare(
        self, items: list[SourceFrame], each: Callable[..., Any], timing: Timing, region: Region | None
    ) -> _Prepared:
        pictures: list[_Picture] = list(each(partial(self._make_picture, region), items))
        # Helpers work at the same time, so their seconds together are not seconds of the wall clock.
        timing.add("decode", sum(p.load_seconds for p in pictures) / self.helpers)
        timing.add("resize", sum(p.view_seconds for p in pictures) / self.helpers)
        began = time.perf_counter()
        # A batch through the network needs images of equal size; videos have one, folders of images may not.
        by_size: dict[tuple[int, int], list[int]] = {}
        for row, picture in enumerate(pictures):
            if picture.stored is not None:
                by_size.setdefault(picture.stored, []).append(row)
        groups = []
        for stored, rows in by_size.items():
            size = stored if region is None else (region.x2 - region.x1, region.y2 - region.y1)
            geometries = self._geometries(*size)
            if there := [shown for row in rows if (shown := pictures[row].on_device) is not None]:
                decoded = torch.stack(there)
                groups.append(_Group(rows, stored, size, [], geometries, HostCopies(decoded), decoded))
                continue
            frames = [image for row in rows if (image := pictures[row].frame) is not None]
            if self.device_views:
                raw = self._buffers.take(len(rows), size[1], size[0])
                array = raw.numpy()
                for j, image in enumerate(frames):
                    array[j] = image
                # Not the pictures, which would be held in memory a second time.
                groups.append(_Group(rows, stored, size, [], geometries, list(array), raw))
                continue
            pixels: list[Tensor | None] = []
            for s, geometry in enumerate(geometries):
                if geometry is None:
                    pixels.append(None)
                    continue
                buffer = self._buffers.take(len(rows), geometry.height, geometry.width)
                array = buffer.numpy()
                for j, row in enumerate(rows):
                    array[j] = pictures[row].views[s]
                pixels.append(buffer)
            groups.append(_Group(rows, stored, size, pixels, geometries, frames))
        timing.add("resize", time.perf_counter() - began)
        return _Prepared(items, [p.reason for p in pictures], groups, region)

    def _make_picture(self, region: Region | None, item: SourceFrame) -> _Picture:
        if item.load is None:
            return _Picture(reason=item.reason)
        if self.device_views and item.on_device is not None:
            return self._keep_on_device(region, item.on_device)
        began = time.perf_counter()
        try:
            image = item.load()
        except PoseError as error:
            return _Picture(reason=str(error), load_seconds=time.perf_counter() - began)
        loaded = time.perf_counter()
        stored = (image.shape[1], image.shape[0])
        if region is not None:
            if not region.lies_in(*stored):
                return _Picture(reason=_describe_outside(stored, region))
            image = np.ascontiguousarray(image[region.y1 : region.y2, region.x1 : region.x2])
        height, width = image.shape[:2]
        views: list[ByteArray | None] = []
        if not self.device_views:
            views = [None if g is None else warp(image, g) for g in self._geometries(width, height)]
        return _Picture(
            stored=stored,
            views=views,
            # Full frames are kept in memory only where the device or a stage cuts from them.
            frame=image if self.device_views or any(stage.needs_frames for stage in self.stages) else None,
            load_seconds=loaded - began,
            view_seconds=time.perf_counter() - loaded,
        )

    def _keep_on_device(self, region: Region | None, image: Tensor) -> _Picture:
        stored = (image.shape[1], image.shape[0])
        if region is not None:
            if not region.lies_in(*stored):
                return _Picture(reason=_describe_outside(stored, region))
            image = image[region.y1 : region.y2, region.x1 : region.x2]
        return _Picture(stored=stored, on_device=image)

    def _make_geometries(self, width: int, height: int) -> list[FrameGeometry | None]:
        return [stage.view(width, height) for stage in self.stages]

    def _compute(self, batch: _Prepared, stages: Sequence[Stage]) -> _Computed:
        found = []
        for group in batch.groups:
            on_device = None if group.raw is None else _move(group.raw, self.device)
            if on_device is None:
                views = [
                    None if pixels is None or geometry is None else _make_view(pixels, geometry, self.device)
                    for pixels, geometry in zip(group.pixels, group.geometries, strict=True)
                ]
            else:
                views = [
                    None if geometry is None else _show(on_device, geometry) for geometry in group.geometries
                ]
            items = [batch.items[row] for row in group.rows]
            full = FrameGroup(
                [item.index for item in items],
                [item.image for item in items],
                *group.size,
                views,
                group.frames,
                self.device,
                batch.region,
                [item.given for item in items],
                on_device,
            )
            with self._computing:
                found.append(HostResult.fetch(_run_stages(stages, full), self.device))
        return _Computed(batch, found)

    def _release(self, batch: _Prepared) -> None:
        for group in batch.groups:
            for pixels in (*group.pixels, group.raw):
                # What was decoded on the device is no buffer for the host.
                if pixels is not None and pixels.device.type == "cpu":
                    self._buffers.give(pixels)

    def _make_result(self, batch: _Computed) -> Result:
        prepared = batch.prepared
        groups = [(group.rows, found) for group, found in zip(prepared.groups, batch.found, strict=True)]
        frames = to_frames(
            prepared.items, prepared.reasons, groups, self.skeleton, self.threshold, self.identity_threshold
        )
        if (region := prepared.region) is not None:
            frames = [frame.moved(region.x1, region.y1) for frame in frames]
        return Result(frames, frozenset(group.stored for group in prepared.groups))


@dataclass(frozen=True)
class _Picture:
    """One frame as a helper made it; without a size it could not be used, for ``reason``."""

    stored: tuple[int, int] | None = None
    views: Sequence[ByteArray | None] = ()
    frame: ByteArray | None = None
    on_device: Tensor | None = None
    reason: str | None = None
    load_seconds: float = 0.0
    view_seconds: float = 0.0


def _run_stages(stages: Sequence[Stage], group: FrameGroup) -> StageResult:
    """Run one stage after the other."""
    found = StageResult()
    with torch.inference_mode():
        for stage, view in zip(stages, group.views, strict=True):
            found = stage.run(group, view, found)
    if found.predictions is None and (found.boxes is None or found.box_scores is None):
        raise ValueError(f"{type(stages[-1]).__name__} ends the pipeline without poses and without boxes")
    return found


def _make_view(pixels: Tensor, geometry: FrameGeometry, device: torch.device) -> View:
    """Move pixels (B, h, w, 3) uint8 to the device and view them as images."""
    # (B, h, w, 3) seen as (B, 3, h, w) is channels last already; converting on the host would cost a copy.
    return View(_move(pixels, device).permute(0, 3, 1, 2), invert(geometry.matrix))


def _move(pixels: Tensor, device: torch.device) -> Tensor:
    return pixels.to(device, non_blocking=device.type == "cuda")


def _show(frames: Tensor, geometry: FrameGeometry) -> View:
    """Make the view of frames (B, H, W, 3) uint8 on the device, there."""
    images = warp_frames(frames, range(len(frames)), [geometry] * len(frames))
    return View(images, invert(geometry.matrix))


def _describe_outside(stored: tuple[int, int], region: Region) -> str:
    return f"has {stored[0]} x {stored[1]} pixels, and is to be cropped to {region}"


def _make_loader(image: ByteArray) -> Callable[[], ByteArray]:
    return lambda: image
