"""Drawing animals, and rendering predictions into their video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from listening import Listener
from typer.testing import CliRunner

from pose_core.cli.render import render as render_command
from pose_core.data.draw import draw_instances, draw_note
from pose_core.data.palette import animal_colour, keypoint_colours
from pose_core.errors import DataError, PoseError, VideoError
from pose_core.formats.config import ParquetConfig
from pose_core.formats.parquet import ParquetWriter
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.render import render
from pose_core.structures import ByteArray, Frame, Instances, Skeleton
from pose_core.synthetic.videos import overwrite_bytes, read_number, write_numbered_video

SKELETON = Skeleton(("nose", "tail"), edges=(("nose", "tail"),), unique_keypoints=("corner",))
BLACK = np.zeros((60, 80, 3), np.uint8)


def animal(*points: tuple[float, float], scores: Iterable[float] | None = None, track: int = -1) -> Instances:
    return Instances.from_keypoints(
        [points], keypoint_scores=None if scores is None else [list(scores)], track=[track]
    )


def centre(image: ByteArray) -> tuple[float, float]:
    weight = image.astype(float).sum(-1)
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((weight * xs).sum() / weight.sum()), float((weight * ys).sum() / weight.sum())


@given(x=st.floats(10, 69), y=st.floats(10, 49), marker=st.sampled_from(["dot", "ring", "cross"]))
def test_a_marker_sits_on_its_keypoint(x: float, y: float, marker: str) -> None:
    one = Skeleton(("nose",))
    drawn = draw_instances(BLACK, animal((x, y)), one, marker=marker, radius=4, colours=[(255, 255, 255)])
    # OpenCV weighs the pixels of a smooth line in steps, which shifts thin ones by up to 0.132 px.
    assert centre(drawn) == pytest.approx((x, y), abs=0.15 if marker == "cross" else 0.12)
    assert not BLACK.any()


def test_limbs_join_keypoints_of_enough_score() -> None:
    ends = ((10.0, 30.0), (70.0, 30.0))
    assert draw_instances(BLACK, animal(*ends), SKELETON)[30, 40].any()
    assert not draw_instances(BLACK, animal(*ends), SKELETON, edges=False)[30, 40].any()
    weak = animal(*ends, scores=(0.9, 0.1))
    drawn = draw_instances(BLACK, weak, SKELETON, threshold=0.5)
    assert drawn[30, 10].any()
    assert not drawn[30, 20:].any()


def test_what_is_missing_or_far_away_is_not_drawn() -> None:
    nan = float("nan")
    for point in ((nan, nan), (1e9, 5.0), (-1e30, 5.0), (float("inf"), 5.0)):
        drawn = draw_instances(BLACK, animal((20.0, 20.0), point), SKELETON)
        assert drawn[20, 20].any()
        assert not drawn[:, 40:].any()
    assert not draw_instances(BLACK, Instances.empty(2), SKELETON).any()


def test_boxes_are_drawn_where_no_keypoint_is_sure() -> None:
    weak = Instances.from_keypoints(
        [[(30.0, 40.0), (32.0, 42.0)]],
        keypoint_scores=[[0.1, 0.1]],
        scores=[0.07],
        boxes=[[20.0, 30.0, 60.0, 50.0]],
    )
    assert not draw_instances(BLACK, weak, SKELETON, threshold=0.5).any()
    drawn = draw_instances(BLACK, weak, SKELETON, threshold=0.5, boxes=True, radius=2)
    edges = [drawn[30, 45], drawn[50, 45], drawn[40, 20], drawn[40, 60]]
    assert all(pixel.any() for pixel in edges)
    assert not drawn[40, 25:55].any()
    # The score stands above the box.
    assert drawn[10:28, 18:40].any()
    unknown = Instances.from_keypoints([[(np.nan, np.nan)] * 2], boxes=[[np.nan] * 4], scores=[0.5])
    assert not draw_instances(BLACK, unknown, SKELETON, boxes=True).any()


def test_animals_have_colours_of_their_own() -> None:
    pair = Skeleton(("nose",), individuals=("a", "b"))
    points = [[(20.0, 20.0)], [(60.0, 40.0)]]
    for instances, numbers in (
        (Instances.from_keypoints(points), (0, 1)),
        (Instances.from_keypoints(points, identity=[1, 0]), (1, 0)),
        (Instances.from_keypoints(points, identity=[1, 0], track=[5, 9]), (5, 9)),
    ):
        drawn = draw_instances(BLACK, instances, pair, radius=5)
        assert tuple(drawn[20, 20]) == animal_colour(numbers[0])
        assert tuple(drawn[40, 60]) == animal_colour(numbers[1])
    assert len(set(keypoint_colours(12))) == 12
    by_keypoint = draw_instances(
        BLACK, Instances.from_keypoints(points), pair, colour_by="keypoint", radius=5
    )
    assert tuple(by_keypoint[20, 20]) == tuple(by_keypoint[40, 60])


def test_unique_keypoints_of_a_frame_are_rings() -> None:
    frame = Frame(0, Instances.empty(2), np.array([[40.0, 30.0]], np.float32), np.ones(1, np.float32))
    drawn = draw_instances(BLACK, frame, SKELETON, radius=6)
    assert drawn[30, 46].any()
    assert not drawn[30, 40].any()


def test_a_note_darkens_the_picture() -> None:
    noted = draw_note(np.full((60, 200, 3), 90, np.uint8), "frame 3 is missing")
    assert noted.shape == (60, 200, 3)
    assert noted[50, 100].tolist() == [30, 30, 30]
    assert noted.max() > 200


def write_predictions(path: Path, video: Path, frames: int, size: tuple[int, int] = (64, 48)) -> None:
    """A dot that moves right below the cells of a numbered video."""
    header = PredictionsHeader(SKELETON, str(video), frames, *size, 30.0, "m", "r")
    missing = np.full((1, 2), np.nan, np.float32)
    found = (
        Frame(i, animal((5.0 + i, 30.0), (5.0 + i, 44.0)), missing, np.zeros(1, np.float32))
        for i in range(frames)
    )
    ParquetWriter(ParquetConfig()).write(path, header, found)


def difference(a: Path, b: Path) -> list[ByteArray]:
    loads = zip(VideoSource(a).read(), VideoSource(b).read(), strict=True)
    return [np.abs(x.load().astype(int) - y.load()).sum(-1) for x, y in loads if x.load and y.load]


def test_dots_are_on_their_frames(tmp_path: Path) -> None:
    video, out = tmp_path / "v.mp4", tmp_path / "new" / "drawn.mp4"
    write_numbered_video(video, 40, options={"bf": "2"})
    write_predictions(tmp_path / "p.parquet", video, 40)
    listener = Listener()
    render(tmp_path / "p.parquet", video, out, radius=3, reporter=listener)
    assert listener.steps == [("drawing", i + 1, 40) for i in range(40)]
    source = VideoSource(out)
    assert (source.info.frames, source.info.width, source.info.height, source.info.fps) == (40, 64, 48, 30.0)
    pictures = [f.load() for f in source.read() if f.load is not None]
    assert [read_number(p) for p in pictures] == list(range(40))
    for i, change in enumerate(difference(video, out)):
        columns = change[25:].sum(axis=0)
        assert abs(int(np.argmax(np.convolve(columns, np.ones(5), "same"))) - (5 + i)) <= 2
    assert [p.name for p in out.parent.iterdir()] == ["drawn.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
def test_frames_keep_their_times(name: str, suffix: str, tmp_path: Path) -> None:
    video, out = tmp_path / name, tmp_path / f"drawn{suffix}"
    times = [0, 1, 2, 3, 12, 13, 14, 15, 27, 28, 29, 30]
    write_numbered_video(video, 12, times=times)
    write_predictions(tmp_path / "p.parquet", video, 12)
    render(tmp_path / "p.parquet", video, out)
    frames = list(VideoSource(out).read())
    assert [read_number(f.load()) for f in frames if f.load is not None] == list(range(12))
    # An AVI file has places of a thirtieth of a second.
    assert [f.time for f in frames] == pytest.approx(
        [t / 30 for t in times], abs=0.017 if suffix == ".avi" else 1e-3
    )


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov"])
def test_odd_sizes_are_padded(suffix: str, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mkv", tmp_path / f"drawn{suffix}"
    write_numbered_video(video, 5, codec="ffv1", width=65, height=49)
    write_predictions(tmp_path / "p.parquet", video, 5, (65, 49))
    render(tmp_path / "p.parquet", video, out)
    info = VideoSource(out).info
    assert (info.frames, info.width, info.height) == (5, 66, 50)


def test_missing_frames_keep_the_others_in_place(tmp_path: Path) -> None:
    video, out = tmp_path / "v.avi", tmp_path / "drawn.mp4"
    packets = write_numbered_video(video, 12, codec="mjpeg", pixels="yuvj420p")
    overwrite_bytes(video, *packets[5])
    write_predictions(tmp_path / "p.parquet", video, 12)
    render(tmp_path / "p.parquet", video, out)
    pictures = [f.load() for f in VideoSource(out).read() if f.load is not None]
    assert [read_number(p) for i, p in enumerate(pictures) if i != 5] == [i for i in range(12) if i != 5]
    assert pictures[5].mean() < pictures[4].mean() / 2


def test_a_folder_of_images_becomes_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 64, 3), 80, np.uint8))
    write_predictions(tmp_path / "p.parquet", folder, 3)
    render(tmp_path / "p.parquet", folder, tmp_path / "drawn.mp4")
    assert VideoSource(tmp_path / "drawn.mp4").info.frames == 3
    cv2.imwrite(str(folder / "2.png"), np.full((40, 64, 3), 80, np.uint8))
    with pytest.raises(VideoError, match="frame 2 has 64 x 40 pixels, the first has 64 x 48"):
        render(tmp_path / "p.parquet", folder, tmp_path / "again.mp4")
    assert not (tmp_path / "again.mp4").exists()


@pytest.mark.parametrize(("bit_depth", "brightness"), [(None, 255 / 16), (12, 255.0)])
def test_deep_images_are_drawn_as_bright_as_they_were_seen(
    bit_depth: int | None, brightness: float, tmp_path: Path
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 64), 4095, np.uint16))
    write_predictions(tmp_path / "p.parquet", folder, 3)
    render(tmp_path / "p.parquet", folder, tmp_path / "drawn.mp4", bit_depth=bit_depth)
    pictures = [f.load() for f in VideoSource(tmp_path / "drawn.mp4").read() if f.load is not None]
    assert np.median(np.stack(pictures)) == pytest.approx(brightness, abs=3)


def test_predictions_of_another_video_are_one_line(tmp_path: Path) -> None:
    video, table = tmp_path / "v.mp4", tmp_path / "p.parquet"
    write_numbered_video(video, 8)
    write_predictions(table, Path("other.mp4"), 9)
    with pytest.raises(DataError, match=r"has 9 frames, .*v\.mp4 has 8; name the video.*other\.mp4"):
        render(table, video, tmp_path / "out.mp4")
    write_predictions(table, Path("other.mp4"), 8, (100, 48))
    with pytest.raises(DataError, match="frames of 100 x 48 pixels"):
        render(table, video, tmp_path / "out.mp4")


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    video, table, out = tmp_path / "v.mp4", tmp_path / "p.parquet", tmp_path / "out.mp4"
    write_numbered_video(video, 8)
    write_predictions(table, video, 8)
    with pytest.raises(DataError, match="no such file"):
        open_predictions(tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"not readable as predictions in any installed format \(.*parquet"):
        render(video, video, out)
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        render(table, table, out)
    with pytest.raises(VideoError, match="names no video format"):
        render(table, video, tmp_path / "out.xyz")
    with pytest.raises(PoseError, match=r"is the video itself"):
        render(table, video, video, overwrite=True)
    out.write_text("mine")
    with pytest.raises(PoseError, match="exists; add overwrite=True"):
        render(table, video, out)
    assert out.read_text() == "mine"
    render(table, video, out, overwrite=True)
    assert VideoSource(out).info.frames == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "p.parquet", "v.mp4"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, table = tmp_path / "v.mp4", tmp_path / "p.parquet"
    write_numbered_video(video, 8)
    write_predictions(table, video, 8)

    # The device that is always full stands for the disk.
    monkeypatch.setattr(
        "pose_core.prediction.render.create_container",
        lambda path: av.open("/dev/full", "w", format="matroska"),
    )
    with pytest.raises(PoseError, match="no space left on the disk"):
        render(table, video, tmp_path / "out.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.parquet", "v.mp4"]


def test_the_command(tmp_path: Path) -> None:
    video, table, out = tmp_path / "v.mp4", tmp_path / "p.parquet", tmp_path / "out.mp4"
    write_numbered_video(video, 8)
    write_predictions(table, video, 8)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(render_command)
    result = CliRunner().invoke(app, [str(table), str(video), "--out", str(out), "--radius", "4"])
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
