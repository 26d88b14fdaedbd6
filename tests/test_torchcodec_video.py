"""Videos decoded by torchcodec: the frames of our own reader, or one line; on the device from there to the networks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pose_core
from pose_core.errors import ConfigError, VideoError
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile
from pose_core.pipeline.sources import SourceFrame
from pose_core.pipeline.torchcodec_video import TorchcodecSource
from pose_core.pipeline.video import VideoSource
from pose_core.structures import Frame, Region
from pose_core.synthetic.encode import write_video
from tests.conftest import PoseCommand
from tests.helpers.tiny_run import make_run

FRAMES, HEIGHT, WIDTH = 37, 48, 64
CPU = torch.device("cpu")
CHOICE = {"inference.decoder": "torchcodec"}

try:
    import torchcodec.decoders as real  # type: ignore[import-not-found,unused-ignore]
except (ImportError, OSError, RuntimeError) as error:
    real, MISSING = None, str(error).splitlines()[0]
else:
    MISSING = ""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    random = np.random.default_rng(0)
    picture = np.kron(random.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    write_video(path, [np.roll(picture, 3 * number, 1) for number in range(FRAMES)])
    return path


@dataclass
class Fault:
    """What a decoder does otherwise than our reader."""

    lost: int = 0
    brighter: int = 0
    late: float = 0.0
    late_from: int = 0
    refuses: int = FRAMES
    larger: bool = False


class FakeDecoder:
    """torchcodec's VideoDecoder, made of our reader, with a fault."""

    fault = Fault()

    def __init__(
        self, path: str, *, device: str, dimension_order: str, seek_mode: str, **options: int
    ) -> None:
        assert (dimension_order, seek_mode, device) == ("NHWC", "exact", "cpu")
        assert set(options) == {"stream_index", "num_ffmpeg_threads"}
        video = VideoFile(path)
        self.times = torch.from_numpy(video.timeline.times + 0.04)
        pictures = np.stack([to_rgb(frame) for _, frame, _ in video.frames() if frame is not None])
        self.pictures = torch.from_numpy(
            np.minimum(pictures.astype(int) + self.fault.brighter, 255).astype(np.uint8)
        )
        if self.fault.larger:
            self.pictures = self.pictures.repeat(1, 2, 1, 1)
        self.metadata = SimpleNamespace(begin_stream_seconds=0.04)

    def __len__(self) -> int:
        return len(self.pictures) - self.fault.lost

    def get_frame_at(self, index: int) -> Any:
        return SimpleNamespace(data=self.pictures[index])

    def get_frames_in_range(self, start: int, stop: int) -> Any:
        if stop > self.fault.refuses:
            raise RuntimeError("Could not decode the frame\nStack trace:")
        times = self.times[start:stop].clone()
        times[max(0, self.fault.late_from - start) :] += self.fault.late
        return SimpleNamespace(data=self.pictures[start:stop], pts_seconds=times)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of torchcodec, installed or not."""
    module = ModuleType("torchcodec.decoders")
    module.VideoDecoder = FakeDecoder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)
    monkeypatch.setattr(FakeDecoder, "fault", Fault())


def read(source: VideoSource, start: int = 0) -> Iterator[tuple[int, float | None, Any]]:
    for frame in source.read(start):
        yield frame.index, frame.time, None if frame.load is None else frame.load()


def check_same(path: Path, starts: Sequence[int] = (0, 5, FRAMES - 1)) -> None:
    ours, other = VideoSource(path), TorchcodecSource(path, CPU)
    assert other.info == ours.info
    for start in starts:
        for one, two in zip(read(ours, start), read(other, start), strict=True):
            assert one[:2] == two[:2]
            np.testing.assert_array_equal(one[2], two[2])


def keypoints(frames: Sequence[Frame]) -> Any:
    return np.stack([frame.instances.keypoints for frame in frames])


@pytest.mark.usefixtures("fake")
def test_frames_numbers_and_times_are_those_of_our_reader(video: Path) -> None:
    check_same(video)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Fault(lost=1), r"37 of its 37 frames have data, and torchcodec finds 36"),
        (Fault(brighter=9), r"frame 0: torchcodec's colours are off by [5-9]\.?\d* of 255"),
        (Fault(larger=True), r"torchcodec shows 64 x 96 pixels instead of 64 x 48"),
        (Fault(late=0.04, late_from=21), r"frame 21: torchcodec shows one that is 0\.04 s away"),
        (Fault(refuses=20), r"frames 16 to 31: torchcodec cannot decode them \(Could not decode the frame\)"),
    ],
)
def test_other_frames_than_those_of_our_reader_are_refused(
    fault: Fault, line: str, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeDecoder, "fault", fault)
    with pytest.raises(VideoError, match=line) as raised:
        list(TorchcodecSource(video, CPU).read())
    assert str(raised.value).startswith(str(video))
    assert "inference.decoder=ffmpeg" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("fake")
def test_it_is_used_where_it_is_chosen_and_says_what_it_does_not_see(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    wanted = list(pose_core.load(run, "cpu").predict_video(video))
    estimator = pose_core.load(run, "cpu", settings=CHOICE)
    source = estimator.open_video(video)
    assert isinstance(source, TorchcodecSource)
    assert source.notes == ["is decoded by torchcodec, which does not tell damaged frames from whole ones"]
    np.testing.assert_array_equal(keypoints(list(estimator.predict_video(video))), keypoints(wanted))
    monkeypatch.setattr(FakeDecoder, "fault", Fault(refuses=20))
    with pytest.raises(VideoError, match="frames 16 to 31"):
        list(estimator.predict_video(video))


class OnDevice(VideoSource):
    """Pictures that lie on the device, which is the CPU here; loading one fails."""

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        for frame in super().read(start):
            assert frame.load is not None
            yield replace(frame, load=refuse, on_device=torch.from_numpy(frame.load()))


def refuse() -> Any:
    raise AssertionError("it lies on the device, and is copied to the host")


@pytest.mark.parametrize("region", [None, Region(x1=8, y1=4, x2=56, y2=44)])
def test_pictures_on_the_device_do_not_pass_through_the_host(
    region: Region | None, video: Path, tmp_path: Path
) -> None:
    pipeline = pose_core.load(make_run(tmp_path / "run"), "cpu").pipeline
    pipeline.device_views = True
    wanted = [f for result in pipeline.run(VideoSource(video), region=region) for f in result.frames]
    found = [f for result in pipeline.run(OnDevice(video), region=region) for f in result.frames]
    np.testing.assert_array_equal(keypoints(found), keypoints(wanted))
    assert [frame.index for frame in found] == list(range(FRAMES))
    too_large = Region(x1=0, y1=0, x2=WIDTH + 1, y2=HEIGHT)
    (outside, *_) = [f for result in pipeline.run(OnDevice(video), region=too_large) for f in result.frames]
    assert outside.missing is not None
    assert "64 x 48 pixels, and is to be cropped" in outside.missing


def test_stages_get_copies_of_what_lies_on_the_device() -> None:
    from pose_core.pipeline.pixel_buffers import HostCopies

    frames: Tensor = torch.arange(4 * 2 * 3 * 3, dtype=torch.uint8).reshape(4, 2, 3, 3)
    copies = HostCopies(frames)
    assert len(copies) == 4
    np.testing.assert_array_equal(copies[2], frames[2].numpy())
    np.testing.assert_array_equal(list(copies[1:3]), frames[1:3].numpy())


def test_without_torchcodec_the_command_ends_with_a_line(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ConfigError, match="it is not installed: pip install torchcodec") as raised:
        pose_core.load(make_run(tmp_path / "run"), "cpu", settings=CHOICE).open_video(video)
    assert "\n" not in str(raised.value)


def test_torchcodec_without_ffmpeg_ends_the_command_with_a_line(
    video: Path, tmp_path: Path, pose: PoseCommand
) -> None:
    broken = tmp_path / "site" / "torchcodec"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(
        'raise RuntimeError("Could not load libtorchcodec. Likely causes:\\n1. FFmpeg")'
    )
    said = pose.refuses(
        *("predict", make_run(tmp_path / "run"), video, "--out", tmp_path / "out"),
        *("--set", "inference.decoder=torchcodec"),
        env={"PYTHONPATH": str(broken.parent)},
    )
    assert (
        "inference.decoder torchcodec: cannot be loaded (Could not load libtorchcodec. Likely causes:)"
        in said
    )


needs_torchcodec = pytest.mark.skipif(real is None, reason=f"torchcodec cannot be used here: {MISSING}")


@needs_torchcodec
def test_torchcodec_shows_the_frames_of_our_reader(video: Path) -> None:
    check_same(video)


@needs_torchcodec
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")
def test_a_gpu_decodes_the_same_frames_within_two_grey_levels(video: Path) -> None:
    source = TorchcodecSource(video, torch.device("cuda"))
    for one, two in zip(VideoSource(video).read(), source.read(), strict=True):
        assert one.load is not None
        assert two.on_device is not None
        assert two.on_device.is_cuda
        assert np.abs(one.load().astype(int) - two.on_device.cpu().numpy()).mean() <= 2.0


@needs_torchcodec
def test_a_frame_that_torchcodec_cannot_decode_ends_in_one_line(video: Path, tmp_path: Path) -> None:
    content = bytearray(video.read_bytes())
    at = int(VideoFile(video).timeline.table.position[20])
    # The type of the unit, and all that follows in it.
    content[at : at + 200] = bytes(200)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match="frames 16 to 31: torchcodec cannot decode them") as raised:
        list(TorchcodecSource(path, CPU).read())
    assert "\n" not in str(raised.value)
