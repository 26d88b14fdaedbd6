"""A part of frames: any method predicts it, and says where things are in the whole frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import make_run
from typer.testing import CliRunner

import pose_core
from pose_core.cli.main import app
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import FrameGroup, StageContext, StageResult
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.io.video import VideoFile
from pose_core.pipeline.box_file import BoxFileStage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.stage_configs import BoxesConfig
from pose_core.prediction.render import render
from pose_core.reporting import Reporter
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray, Frame, Region, Skeleton

WIDTH, HEIGHT = 112, 72
CROP = Region(40, 104, 8, 56)


class Notes(Reporter):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


def pictures(count: int = 6) -> list[ByteArray]:
    rng = np.random.default_rng(0)
    return [
        cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3) for _ in range(count)
    ]


def cut(image: ByteArray, region: Region) -> ByteArray:
    return np.ascontiguousarray(image[region.y1 : region.y2, region.x1 : region.x2])


def same(found: Sequence[Frame], parts: Sequence[Frame], region: Region) -> None:
    """What was found in whole frames with a crop, against what was found in frames cut by hand."""
    assert len(found) == len(parts)
    by = np.array([region.x1, region.y1], np.float32)
    for whole, part in zip(found, parts, strict=True):
        assert whole.missing is None
        np.testing.assert_allclose(whole.instances.keypoints, part.instances.keypoints + by, atol=1e-3)
        np.testing.assert_allclose(whole.instances.boxes, part.instances.boxes + np.tile(by, 2), atol=1e-3)
        np.testing.assert_allclose(whole.instances.scores, part.instances.scores, rtol=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, and its frames as images."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "shots").mkdir()
    for number, image in enumerate(pictures()):
        cv2.imwrite(str(folder / "shots" / f"{number}.png"), image[..., ::-1])
    write_video(folder / "v.mkv")
    return folder


def write_video(path: Path, width: int = WIDTH) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = width, HEIGHT, "bgr0"
        for image in pictures():
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:, :width]), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
    return path


@settings(max_examples=5, deadline=None)
@given(data=st.data(), follow=st.booleans())
def test_a_crop_finds_what_the_cut_frames_show(run: Path, data: st.DataObject, follow: bool) -> None:
    x1, y1 = data.draw(st.integers(0, WIDTH - 20)), data.draw(st.integers(0, HEIGHT - 20))
    region = Region(x1, data.draw(st.integers(x1 + 16, WIDTH)), y1, data.draw(st.integers(y1 + 16, HEIGHT)))
    images = pictures()
    estimator = pose_core.load(run, "cpu", follow=follow, region=region)
    plain = pose_core.load(run, "cpu", follow=follow)
    parts = plain.predict([cut(image, region) for image in images])
    same(estimator.predict(images), parts, region)
    same(list(estimator.predict(iter(images))), list(plain.predict(cut(i, region) for i in images)), region)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("name", ["v.mkv", "shots"])
def test_pose_predict_crops_videos_and_images(
    name: str, follow: bool, run: Path, folder: Path, tmp_path: Path
) -> None:
    arguments = ["predict", str(run), str(folder / name), "--region", "40,8,104,56", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, *(["--follow"] if follow else []), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.glob("*.parquet")
    stream = open_predictions(path)
    plain = pose_core.load(run, "cpu", follow=follow)
    same(list(stream), plain.predict([cut(image, CROP) for image in pictures()]), CROP)
    # Sizes are of the whole frames, so what draws them finds the video to be the right one.
    assert (stream.header.width, stream.header.height) == (WIDTH, HEIGHT)
    assert stream.header.metadata["region"] == "x 40-104, y 8-56"
    render(path, folder / name, tmp_path / "drawn.mp4")
    assert VideoFile(tmp_path / "drawn.mp4").width == WIDTH


def test_predict_video_crops_as_pose_predict_does(run: Path, folder: Path) -> None:
    estimator = pose_core.load(run, "cpu", region="40,8,104,56")
    parts = pose_core.load(run, "cpu").predict([cut(image, CROP) for image in pictures()])
    same(list(estimator.predict_video(folder / "v.mkv")), parts, CROP)


def test_an_interrupted_prediction_goes_on_with_the_same_crop_only(
    run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(crop: Any, out: Path = tmp_path, follow: bool = True) -> list[str]:
        notes = Notes()
        pose_core.predict(
            run, folder / "v.mkv", out, device="cpu", batch_size=2, region=crop, follow=follow, reporter=notes
        )
        return notes.lines

    predict(CROP, tmp_path / "whole")
    stop_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        predict(CROP)
    monkeypatch.undo()
    assert any("going on from there" in line for line in predict(CROP))
    first, second = (list(open_predictions(p / "v.parquet")) for p in (tmp_path / "whole", tmp_path))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.instances.keypoints, b.instances.keypoints)
    with pytest.raises(PoseError, match=r"v\.parquet: exists and was made with another region"):
        predict(Region(0, 64, 0, 64))
    stop_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        predict(CROP, tmp_path / "other")
    monkeypatch.undo()
    lines = predict("none", tmp_path / "other")
    assert any("made with other settings (region) was discarded" in line for line in lines)


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Let the user press Ctrl-C when so many batches are done."""
    whole = Pipeline.run

    def run(self: Pipeline, *arguments: Any, **options: Any) -> Any:
        for number, result in enumerate(whole(self, *arguments, **options)):
            if number == batches:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(Pipeline, "run", run)


def test_the_crop_of_the_project_counts_for_videos(folder: Path, tmp_path: Path) -> None:
    own = make_run(
        tmp_path / "run",
        crop=list(CROP),
        video_crops={"other.mkv": [0, 32, 0, 32], "whole.mkv": [0, WIDTH, 0, HEIGHT]},
    )
    for name in ("other.mkv", "whole.mkv"):
        write_video(tmp_path / name)
    plain = pose_core.load(make_run(tmp_path / "plain"), "cpu")
    estimator = pose_core.load(own, "cpu")
    for path, region in (
        (folder / "v.mkv", CROP),
        (tmp_path / "other.mkv", Region(0, 32, 0, 32)),
        # Every video has its whole frame noted, which says less than the crop of the project.
        (tmp_path / "whole.mkv", CROP),
    ):
        parts = plain.predict([cut(image, region) for image in pictures()])
        same(list(estimator.predict_video(path)), parts, region)
    whole = plain.predict(pictures())
    same(estimator.predict(pictures()), whole, Region(0, WIDTH, 0, HEIGHT))
    same(
        list(pose_core.load(own, "cpu", region="none").predict_video(folder / "v.mkv")),
        whole,
        Region(0, WIDTH, 0, HEIGHT),
    )
    notes = Notes()
    pose_core.predict(
        own, [folder / "v.mkv", folder / "shots"], tmp_path / "out", device="cpu", reporter=notes
    )
    cropped = [line for line in notes.lines if "cropped to x 40-104, y 8-56, as in the project" in line]
    assert len(cropped) == 1
    assert "v.mkv" in cropped[0]
    assert json.loads((tmp_path / "out" / "shots.parquet.info").read_text())["maker"]["region"] is None


@pytest.mark.parametrize("crop", ["1,2,3", "a,b,c,d", "10,0,5,9", "-1,0,5,9", "0,9,5,9", (1, 2), "0,0,1.5,2"])
def test_what_is_no_region_is_one_line(crop: Any, run: Path) -> None:
    with pytest.raises(ConfigError, match="must be X1,Y1,X2,Y2") as caught:
        pose_core.load(run, "cpu", region=crop)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["v.mkv", "shots"])
def test_a_crop_outside_of_the_frames_is_refused_before_anything_is_predicted(
    name: str, run: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"region.*0,0,{WIDTH + 1},9.*{name}.*{WIDTH} x {HEIGHT}"):
        pose_core.predict(run, folder / name, tmp_path / "out", device="cpu", region=(0, 0, WIDTH + 1, 9))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="an image, which has"):
        pose_core.load(run, "cpu", region=(0, 0, WIDTH + 1, 9)).predict(pictures())


def test_a_video_that_the_crop_of_the_project_does_not_fit_is_refused(tmp_path: Path) -> None:
    own = make_run(tmp_path / "run", crop=list(CROP))
    write_video(tmp_path / "small.mkv", width=64)
    with pytest.raises(ConfigError, match=r"small\.mkv: has 64 x 72 pixels.*crops videos to x 40-104.*none"):
        pose_core.predict(own, tmp_path / "small.mkv", tmp_path / "out", device="cpu")
    assert pose_core.predict(own, tmp_path / "small.mkv", tmp_path / "out", device="cpu", region="none") != [
        None
    ]


@pytest.mark.parametrize("crop", [[0, 0, 0, 9], [5, 4, 0, 9], [0, 9, -1, 9], [0, 9, 0]])
def test_a_run_with_a_crop_that_is_none_is_refused(crop: list[int]) -> None:
    with pytest.raises(ValueError, match="crop"):
        RunSpec.model_validate(
            {"skeleton": {"keypoints": ["a"]}, "data": {"source": "x", "crop": crop}, "model": {}}
        )


def test_arenas_of_one_video_have_a_result_each(run: Path, folder: Path, tmp_path: Path) -> None:
    outcomes = pose_core.predict(
        run,
        folder / "v.mkv",
        tmp_path / "out",
        device="cpu",
        region={"left": (0, 0, 60, 72), "right": "60,8,112,72"},
    )
    assert [o.result.name for o in outcomes if o is not None] == ["v.left.parquet", "v.right.parquet"]
    plain = pose_core.load(run, "cpu")
    for name, region in (("left", Region(0, 60, 0, 72)), ("right", Region(60, 112, 8, 72))):
        parts = plain.predict([cut(image, region) for image in pictures()])
        same(list(open_predictions(tmp_path / "out" / f"v.{name}.parquet")), parts, region)
    notes = Notes()
    pose_core.predict(
        run,
        folder / "v.mkv",
        tmp_path / "out",
        device="cpu",
        region=["left=0,0,60,72", "right=60,8,112,72"],
        reporter=notes,
    )
    assert sum("is complete" in line for line in notes.lines) == 2
    with pytest.raises(ConfigError, match="region: left, right are several"):
        pose_core.load(run, "cpu", region={"left": (0, 0, 60, 72), "right": (60, 0, 112, 72)}).predict(
            pictures()
        )


@pytest.mark.parametrize(
    ("regions", "problem"),
    [
        (["0,0,9,9", "9,0,18,9"], "of several each needs a name"),
        (["a=0,0,9,9", "9,0,18,9"], "of several each needs a name"),
        (["a=0,0,9,9", "a=9,0,18,9"], "'a' is given twice"),
        (["../a=0,0,9,9"], "the name '../a' must be of letters"),
        ({"a": (9, 0, 0, 9)}, "must be X1,Y1,X2,Y2"),
    ],
)
def test_regions_that_cannot_be_told_apart_are_refused(run: Path, regions: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        pose_core.load(run, "cpu", region=regions)


def test_boxes_of_a_file_are_in_pixels_of_the_whole_frame(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(
        "frame,x1,y1,x2,y2,score\n0,1,2,20,30,0.9\n0,50,10,60,20,0.5\n1,30,0,70,50,0.7\n2,0,0,9,9,1\n"
    )
    context = StageContext(
        Skeleton(("nose",)), torch.device("cpu"), "boxes", file=tmp_path / "boxes.csv", max_animals=5
    )
    stage = BoxFileStage(BoxesConfig(), context)
    size = (CROP.x2 - CROP.x1, CROP.y2 - CROP.y1)
    group = FrameGroup([0, 1, 2], [None] * 3, *size, [], [], torch.device("cpu"), CROP)
    found = stage.run(group, None, StageResult())
    assert found.boxes is not None
    assert found.box_scores is not None
    np.testing.assert_allclose(found.boxes[0, 0], [10, 2, 20, 12])
    np.testing.assert_allclose(found.boxes[1, 0], [-10, -8, 30, 42])
    # A box beside the crop is none, and padding stays behind the boxes.
    np.testing.assert_allclose(found.box_scores, [[0.5, 0], [0.7, 0], [0, 0]])
    whole = stage.run(
        FrameGroup([0], [None], WIDTH, HEIGHT, [], [], torch.device("cpu")), None, StageResult()
    )
    assert whole.boxes is not None
    np.testing.assert_allclose(whole.boxes[0, 0], [1, 2, 20, 30])


def test_a_top_down_model_with_boxes_sees_nothing_beside_the_crop(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        model={
            "method": "top_down",
            "preprocess": {"scale": 1.0, "size": [32, 32], "min_box": 8.0, "margin": 0.2},
        },
    )
    boxes = np.array([[50, 12, 90, 50], [38, 6, 70, 40], [2, 2, 20, 20]], np.float32)

    def write(name: str, origin: tuple[int, int]) -> Path:
        rows = [f"{n},{','.join(str(v) for v in boxes[n % 3] - np.tile(origin, 2))}" for n in range(6)]
        (tmp_path / name).write_text("\n".join(["frame,x1,y1,x2,y2", *rows]) + "\n")
        return tmp_path / name

    found = pose_core.load(run, "cpu", region=CROP, boxes=write("whole.csv", (0, 0))).predict(pictures())
    plain = pose_core.load(run, "cpu", boxes=write("cut.csv", (CROP.x1, CROP.y1)))
    parts = plain.predict([cut(image, CROP) for image in pictures()])
    assert [len(f.instances) for f in found] == [1, 1, 0, 1, 1, 0]
    shown = [n for n, frame in enumerate(found) if len(frame.instances)]
    same([found[n] for n in shown], [parts[n] for n in shown], CROP)
