"""The pipeline: order, batches, back-mapping, missing frames, several stages, failure without deadlock."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_core.data.geometry import compute_crop_geometry, frame_input, warp
from pose_core.errors import DataError, VideoError
from pose_core.interfaces import (
    FrameGeometry,
    FrameGroup,
    Predictions,
    Stage,
    StageResult,
    View,
    points_through,
)
from pose_core.io.files import natural_order
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.sources import (
    ArraySource,
    FrameSource,
    ImageSource,
    SourceFrame,
    SourceInfo,
    as_rgb,
)
from pose_core.pipeline.threads import Channel, Flow, Stopped, Timing
from pose_core.structures import ByteArray, Frame, ImageFile, Skeleton

SKELETON = Skeleton(("spot",), individuals=("a",))
CPU = torch.device("cpu")


def spot(x: int, y: int, width: int = 60, height: int = 40) -> ByteArray:
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (x, y), 3, (255, 255, 255), cv2.FILLED)
    return image


def brightest(images: torch.Tensor) -> Predictions:
    """One keypoint an image: the centre of mass of its brightness; no animal in a black image."""
    weights = images.float().mean(1)
    total = weights.sum((1, 2)).clamp(min=1e-6)
    ys, xs = (torch.arange(n, dtype=torch.float32) for n in weights.shape[1:])
    points = torch.stack([(weights.sum(1) @ xs) / total, (weights.sum(2) @ ys) / total], -1)
    found = (total > 1).float()
    return Predictions.none(len(images), SKELETON).with_animals(
        points[:, None, None], found[:, None, None] * 0.9, found[:, None]
    )


class SpotStage(Stage):
    """Stands for a network that sees the whole frame at half size."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def view(self, width: int, height: int) -> FrameGeometry:
        return frame_input(width, height, 0.5, 16)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        assert view is not None
        assert view.images.dtype == torch.uint8
        assert view.images.is_contiguous(memory_format=torch.channels_last)
        self.batches.append(tuple(view.images.shape))
        return StageResult(brightest(view.images).through(view.to_frame))


def pipeline(*stages: Stage, batch_size: int = 4, threshold: float = 0.0) -> Pipeline:
    return Pipeline(stages or (SpotStage(),), SKELETON, CPU, batch_size, threshold)


def run(pipe: Pipeline, source: FrameSource, start: int = 0) -> list[Frame]:
    return [frame for result in pipe.run(source, start) for frame in result.frames]


class Scripted(FrameSource):
    """Frames from a list of pictures; None is a frame that cannot be decoded, an exception is raised on
    loading."""

    def __init__(self, pictures: list[ByteArray | Exception | None]) -> None:
        self.pictures = pictures

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("scripted", len(self.pictures), 60, 40, 30.0)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        for i, picture in enumerate(self.pictures[start:], start):
            yield (
                SourceFrame(i, None, "broken") if picture is None else SourceFrame(i, partial(load, picture))
            )


def load(picture: ByteArray | Exception) -> ByteArray:
    if isinstance(picture, Exception):
        raise picture
    return picture


def test_positions_come_back_in_pixels_of_the_frame() -> None:
    places = [(10 + 3 * i, 8 + 2 * i) for i in range(11)]
    frames = run(pipeline(), ArraySource([spot(x, y) for x, y in places]))
    assert [f.index for f in frames] == list(range(11))
    for frame, place in zip(frames, places, strict=True):
        np.testing.assert_allclose(frame.instances.keypoints[0, 0], place, atol=0.1)
        assert frame.instances.keypoints.dtype == np.float32
        assert frame.instances.scores.tolist() == [1.0]


def test_batches_have_a_fixed_composition() -> None:
    source = ArraySource([spot(20, 20)] * 10)
    whole, rest = SpotStage(), SpotStage()
    first = run(pipeline(whole), source)
    later = run(pipeline(rest), source, 8)
    assert [b[0] for b in whole.batches] == [4, 4, 2]
    assert [b[0] for b in rest.batches] == [2]
    assert later[0].index == 8
    np.testing.assert_array_equal(later[0].instances.keypoints, first[8].instances.keypoints)
    with pytest.raises(ValueError, match="multiple of the batch size"):
        run(pipeline(), source, 3)


def test_ranges_give_the_batches_of_the_whole_and_read_no_further() -> None:
    closed: list[int] = []

    class Watched(Scripted):
        def read(self, start: int = 0) -> Iterator[SourceFrame]:
            try:
                for frame in super().read(start):
                    given.append(frame.index)
                    yield frame
            finally:
                closed.append(start)

    given: list[int] = []
    source = Watched([spot(10 + i, 10) for i in range(10)])
    whole = run(pipeline(), source)
    given.clear()
    closed.clear()
    stage = SpotStage()
    parts = [
        frame
        for start, stop in ((0, 4), (4, 8), (8, None))
        for result in pipeline(stage).run(source, start, stop=stop)
        for frame in result.frames
    ]
    assert [b[0] for b in stage.batches] == [4, 4, 2]
    assert given == list(range(10))
    assert closed == [0, 4, 8]
    for one, other in zip(parts, whole, strict=True):
        assert one.index == other.index
        np.testing.assert_array_equal(one.instances.keypoints, other.instances.keypoints)


def test_missing_frames_keep_their_place() -> None:
    unreadable = DataError("x.png cannot be decoded")
    pictures = [spot(10, 10), None, spot(20, 10), unreadable, None, spot(30, 10)]
    frames = run(pipeline(batch_size=2), Scripted(pictures))
    assert [f.missing for f in frames] == [None, "broken", None, "x.png cannot be decoded", "broken", None]
    for frame, x in zip(frames, (10, None, 20, None, None, 30), strict=True):
        assert len(frame.instances) == (x is not None)
        if x is not None:
            assert frame.instances.keypoints[0, 0, 0] == pytest.approx(x, abs=0.1)


def test_a_batch_of_missing_frames_only() -> None:
    assert [f.missing for f in run(pipeline(), Scripted([None] * 6))] == ["broken"] * 6


def test_an_empty_frame_has_no_animals() -> None:
    frame = run(pipeline(), ArraySource([np.zeros((40, 60, 3), np.uint8)]))[0]
    assert len(frame.instances) == 0
    assert frame.missing is None
    assert frame.instances.keypoints.shape == (0, 1, 2)


def test_keypoints_below_the_threshold_are_missing() -> None:
    source = ArraySource([spot(10, 10)])
    assert len(run(pipeline(threshold=0.8), source)[0].instances) == 1
    assert len(run(pipeline(threshold=0.95), source)[0].instances) == 0


def test_images_of_different_sizes_do_not_touch_each_other() -> None:
    sizes = [(60, 40), (100, 80), (60, 40), (33, 17)]
    images = [spot(12, 9, w, h) for w, h in sizes]
    stage = SpotStage()
    together = run(pipeline(stage), ArraySource(images))
    assert sorted(stage.batches) == [(1, 3, 16, 32), (1, 3, 48, 64), (2, 3, 32, 32)]
    for i, image in enumerate(images):
        alone = run(pipeline(), ArraySource([image]))[0]
        np.testing.assert_allclose(alone.instances.keypoints, together[i].instances.keypoints, atol=1e-5)
        np.testing.assert_allclose(alone.instances.keypoints[0, 0], (12, 9), atol=0.1)


def test_a_detector_and_a_network_on_crops_are_two_stages() -> None:
    """The two-stage methods need no other pipeline: boxes of the first stage, crops of the frames in the
    second."""

    class Boxes(SpotStage):
        def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
            rough = super().run(group, view, found).predictions
            assert rough is not None
            centre = rough.keypoints[:, :, 0]
            return StageResult(boxes=torch.cat([centre - 8, centre + 8], -1), box_scores=rough.scores)

    class Crops(Stage):
        needs_frames = True

        def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
            assert view is None
            assert found.boxes is not None
            assert len(group.frames) == len(group)
            crops = [compute_crop_geometry(b[0], (32, 32), 0.25) for b in found.boxes.numpy()]
            pixels = np.stack([warp(f, c) for f, c in zip(group.frames, crops, strict=True)])
            inside = brightest(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            points = [
                points_through(p, np.linalg.inv(c.matrix))
                for p, c in zip(inside.keypoints, crops, strict=True)
            ]
            moved = inside.with_animals(torch.stack(points), inside.keypoint_scores, inside.scores)
            return StageResult(moved, found.boxes, found.box_scores)

    places = [(10, 12), (31, 20), (44, 25)]
    frames = run(pipeline(Boxes(), Crops(), batch_size=2), ArraySource([spot(x, y) for x, y in places]))
    for frame, (x, y) in zip(frames, places, strict=True):
        np.testing.assert_allclose(frame.instances.keypoints[0, 0], (x, y), atol=0.1)
        np.testing.assert_allclose(frame.instances.boxes[0], (x - 8, y - 8, x + 8, y + 8), atol=0.1)


class Failing(SpotStage):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        if len(self.batches) == self.at:
            raise RuntimeError("the network broke")
        return super().run(group, view, found)


def no_pose_threads() -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(t.name.startswith("pose-") for t in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def endless(pictures: int) -> Scripted:
    return Scripted([spot(10, 10)] * pictures)


def test_a_failing_network_surfaces_and_stops_everything() -> None:
    with pytest.raises(RuntimeError, match="the network broke"):
        run(pipeline(Failing(2)), endless(500))
    assert no_pose_threads()


def test_a_failing_source_surfaces_and_stops_everything() -> None:
    class Broken(Scripted):
        def read(self, start: int = 0) -> Iterator[SourceFrame]:
            yield from list(super().read(start))[:9]
            raise VideoError("v.mp4: lost")

    with pytest.raises(VideoError, match=r"v\.mp4: lost"):
        run(pipeline(), Broken([spot(10, 10)] * 50))
    assert no_pose_threads()


def test_a_defect_while_loading_surfaces() -> None:
    with pytest.raises(ZeroDivisionError):
        run(pipeline(), Scripted([spot(1, 1), ZeroDivisionError()]))
    assert no_pose_threads()


def test_a_caller_that_stops_early_leaves_no_threads() -> None:
    results = pipeline().run(endless(500))
    next(results)
    results.close()
    assert no_pose_threads()


def test_ctrl_c_stops_everything_while_the_caller_waits() -> None:
    class Stuck(SpotStage):
        def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
            if self.batches:
                _thread.interrupt_main()  # as Ctrl-C does
                time.sleep(0.2)
            return super().run(group, view, found)

    # A process started in the background of a shell ignores the signal from birth.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(pipeline(Stuck()), endless(500))
    finally:
        signal.signal(signal.SIGINT, before)
    assert no_pose_threads()


def test_the_reader_does_not_run_ahead() -> None:
    read = 0

    class Counting(Scripted):
        def read(self, start: int = 0) -> Iterator[SourceFrame]:
            nonlocal read
            for frame in super().read(start):
                read += 1
                yield frame

    results = pipeline(batch_size=4).run(Counting([spot(10, 10)] * 400))
    next(results)
    time.sleep(0.3)
    assert read <= 40  # a few batches in the queues, whatever the length of the source
    results.close()


def test_stages_overlap() -> None:
    """Slow decoding and a slow network take as long as the slower one, not as both."""

    class Slow(Scripted):
        def read(self, start: int = 0) -> Iterator[SourceFrame]:
            for frame in super().read(start):
                time.sleep(0.01)
                yield frame

    class Sleepy(SpotStage):
        def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
            time.sleep(0.04)
            return super().run(group, view, found)

    timing = Timing()
    for _ in pipeline(Sleepy(), batch_size=4).run(Slow([spot(10, 10)] * 60), timing=timing):
        pass
    timing.finish()
    assert timing.frames == 60
    assert timing.seconds < 0.85 * (timing.busy["decode"] + timing.busy["network"])
    assert "60 frames" in str(timing)
    assert "bottleneck" in str(timing)


def test_a_channel_hands_over_in_order_and_ends() -> None:
    with Flow() as flow:
        channel: Channel[int] = flow.channel(2)

        def fill() -> None:
            for i in range(100):
                channel.put(i)
            channel.end()

        flow.start("fill", fill)
        assert list(channel) == list(range(100))
    flow.check()


def test_a_stopped_flow_wakes_those_who_wait() -> None:
    flow = Flow()
    empty: Channel[int] = flow.channel(1)
    full: Channel[int] = flow.channel(1)
    full.put(1)
    flow.start("get", lambda: [None for _ in empty] and None)
    flow.start("put", lambda: full.put(2))
    time.sleep(0.05)
    flow.__exit__()
    assert no_pose_threads()
    with pytest.raises(Stopped):
        full.put(3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype float32; multiply by 255"),
        (np.zeros((4, 4, 3), np.uint16), "dtype uint16"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        ("image.png", "is a str"),
    ],
)
def test_wrong_images_are_one_line(image: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ArraySource([spot(1, 1), image])
    assert str(caught.value).startswith("image 1 ")


def test_gray_images_are_images() -> None:
    gray = spot(30, 20)[..., 0]
    frames = run(pipeline(), ArraySource(np.stack([gray, gray])))
    np.testing.assert_allclose(frames[1].instances.keypoints[0, 0], (30, 20), atol=0.1)
    assert as_rgb(gray[..., None], "image").shape == (40, 60, 3)


def test_image_files(tmp_path: Path) -> None:
    for name, x in (("img10.png", 30), ("img2.png", 20), ("img1.png", 10)):
        cv2.imwrite(str(tmp_path / name), spot(x, 12))
    (tmp_path / "img3.png").write_bytes(b"not a picture")
    files = sorted(tmp_path.iterdir(), key=lambda file: natural_order(file.name))
    assert [f.name for f in files] == ["img1.png", "img2.png", "img3.png", "img10.png"]
    frames = run(pipeline(), ImageSource("folder", list(map(ImageFile, files))))
    assert [f.image for f in frames] == [str(f) for f in files]
    assert [f.missing is None for f in frames] == [True, True, False, True]
    assert "img3.png" in (frames[2].missing or "")
    np.testing.assert_allclose(frames[3].instances.keypoints[0, 0], (30, 12), atol=0.1)
