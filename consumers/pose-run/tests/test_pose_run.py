"""pose-run predicts what pose_core predicts, knows nothing of it, and refuses in one line what it cannot use."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pose_run
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pose_run import ExportError, cli, geometry, load
from pose_run.contract import View
from pose_run.pictures import read_frames
from tiny_detector import make_top_down
from tiny_run import make_run

import pose_core
from pose_core.data.geometry import crop_view, frame_view, invert, keypoint_matrix, warp
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile
from pose_core.specs import Preprocess
from pose_core.synthetic.videos import write_numbered_video

TOP_DOWN = {"method": "top_down", "preprocess": {"scale": 1.0, "min_box": 16.0, "size": [64, 64]}}
WHOLE = {"preprocess": {"scale": 1.0, "size": [64, 96]}}
SIMCC = {
    "method": "top_down",
    "preprocess": {"scale": 1.0, "min_box": 16.0, "size": [64, 64]},
    "heads": {"keypoints": {"type": "rtmpose/simcc"}},
}
BOXES = np.array([[3.5, 8, 70, 60], [40, 20.25, 95, 66]], np.float32)

Exports = Callable[..., tuple[Path, Path]]

each_engine = pytest.mark.parametrize("to", ["onnx", "openvino"])


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Makes a run and its export, each once: (run, folder)."""
    models: dict[str, Any] = {"whole": WHOLE, "any size": None, "top-down": TOP_DOWN, "simcc": SIMCC}
    made: dict[tuple[str, str], tuple[Path, Path]] = {}

    def make(name: str, to: str = "onnx") -> tuple[Path, Path]:
        if (name, to) not in made:
            folder = tmp_path_factory.mktemp("exports")
            run = make_run(folder / "run", model=models[name])
            pose_core.export(run, to, folder / "out")
            made[name, to] = run, folder / "out"
        return made[name, to]

    return make


@pytest.fixture(scope="session")
def top_down(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Makes a top-down run with a detector and its export, each once: (run, folder)."""
    made: dict[str, tuple[Path, Path]] = {}

    def make(to: str) -> tuple[Path, Path]:
        if to not in made:
            folder = tmp_path_factory.mktemp("top_down")
            run = make_top_down(folder / "run", excess=0.75)
            pose_core.export(run, to, folder / "out")
            made[to] = run, folder / "out"
        return made[to]

    return make


@pytest.fixture
def copy(exports: Exports, tmp_path: Path) -> Path:
    """An export that may be spoilt."""
    return Path(shutil.copytree(exports("whole")[1], tmp_path / "copy"))


def draw(seed: int, height: int = 71, width: int = 97) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def draw_smoothly(seed: int, height: int, width: int) -> Any:
    """A picture whose crops hardly change where a box is a thousandth of a pixel elsewhere."""
    return cv2.resize(draw(seed, height // 8, width // 8), (width, height), interpolation=cv2.INTER_CUBIC)


def assert_same(found: pose_run.Found, wanted: pose_core.Frame) -> None:
    assert found.keypoints.shape == wanted.instances.keypoints.shape
    np.testing.assert_allclose(found.keypoints, wanted.instances.keypoints, atol=0.05)
    np.testing.assert_allclose(found.keypoint_scores, wanted.instances.keypoint_scores, atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted.instances.scores, atol=1e-4)


def compare_images(run: Path, folder: Path) -> None:
    model, estimator = load(folder), pose_core.load(run)
    for image in (draw(0), draw(1, 200, 333), draw(2)[..., 0]):
        assert_same(model.predict(image), estimator.predict([image])[0])


def compare_crops(run: Path, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    rows = [f"0,{','.join(map(str, box))}" for box in BOXES]
    table.write_text("\n".join(["frame,x1,y1,x2,y2", *rows]) + "\n")
    settings = {"inference.max_animals": None}
    estimator = pose_core.load(run, boxes=table, settings=settings)
    model = load(folder)
    assert model.needs_boxes
    found = model.predict(draw(3), BOXES)
    assert_same(found, estimator.predict(draw(3)[None])[0])
    assert found.boxes.tolist() == [0, 1]
    assert len(model.predict(draw(3), np.zeros((0, 4))).scores) == 0


@each_engine
def test_images_give_the_keypoints_of_pose_core(exports: Exports, to: str) -> None:
    compare_images(*exports("whole", to))


@pytest.mark.slow
@each_engine
def test_images_of_any_size_give_the_keypoints_of_pose_core(exports: Exports, to: str) -> None:
    compare_images(*exports("any size", to))


@each_engine
def test_crops_around_given_boxes_give_the_keypoints_of_pose_core(
    exports: Exports, to: str, tmp_path: Path
) -> None:
    compare_crops(*exports("top-down", to), tmp_path)


@pytest.mark.slow
@each_engine
def test_simcc_gives_the_keypoints_of_pose_core(exports: Exports, to: str, tmp_path: Path) -> None:
    compare_crops(*exports("simcc", to), tmp_path)


def test_an_image_file_is_read_as_pose_core_reads_it(exports: Exports, tmp_path: Path) -> None:
    model = load(exports("whole")[1])
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), draw(4)[..., ::-1])
    np.testing.assert_array_equal(model.predict(path).keypoints, model.predict(draw(4)).keypoints)


@pytest.mark.parametrize("rotation", [0, 90])
def test_videos_give_the_frames_and_keypoints_of_pose_core(
    exports: Exports, tmp_path: Path, rotation: int
) -> None:
    run, folder = exports("whole")
    path = tmp_path / "12:30 %d.mp4"
    write_numbered_video(path, 11, rotation=rotation, width=96, height=64)
    for ours, (_, frame, _) in zip(read_frames(path), VideoFile(path).frames(), strict=True):
        assert frame is not None
        np.testing.assert_array_equal(ours, to_rgb(frame))
    found = list(load(folder).predict_video(path, batch_size=4))
    wanted = list(pose_core.load(run).predict_video(path))
    assert [each.index for each in found] == list(range(11))
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)


NUMBERS = st.floats(-50, 400, allow_nan=False, width=32)


@given(
    box=st.tuples(NUMBERS, NUMBERS, st.floats(0, 300), st.floats(0, 300)),
    view=st.builds(
        Preprocess,
        view=st.sampled_from(["animal", "frame"]),
        scale=st.floats(0.2, 2),
        size=st.sampled_from([(64, 96), (96, 64)]),
        margin=st.sampled_from([0.0, 0.25]),
        margin_pixels=st.sampled_from([0.0, 7.5]),
        half_pixel=st.booleans(),
        extent=st.sampled_from([None, 120.0]),
        label_offset=st.sampled_from([0.0, 0.5]),
        label_zoom=st.sampled_from([1.0, 1.25]),
    ),
    free=st.booleans(),
)
def test_views_are_those_of_training(
    box: tuple[float, float, float, float], view: Preprocess, free: bool
) -> None:
    from dataclasses import replace

    if free and view.view == "frame":
        view = replace(view, size=None)
    here = View(
        view.view, 32, view.scale, view.size, view.margin, view.margin_pixels, view.extent, view.half_pixel,
        view.label_offset, view.label_zoom,
    )  # fmt: skip
    x, y, width, height = box
    corners = np.array([x, y, x + width, y + height], np.float32)
    image = draw(5, 120, 90)
    if view.view == "animal":
        wanted, place = crop_view(corners, view), geometry.place_crop(corners, here)
    else:
        wanted, place = frame_view(90, 120, view, 32), geometry.place_frame(90, 120, here)
    np.testing.assert_array_equal(place.matrix, wanted.matrix)
    assert (place.height, place.width) == (wanted.height, wanted.width)
    np.testing.assert_array_equal(geometry.show(image, place), warp(image, wanted))
    back = invert(keypoint_matrix(wanted.matrix, view))
    np.testing.assert_allclose(geometry.find_way_back(place, here), back, rtol=1e-12, atol=1e-9)


@each_engine
def test_it_imports_the_engine_of_the_file_and_neither_torch_nor_pose_core(exports: Exports, to: str) -> None:
    engines = {"onnx": "onnxruntime", "openvino": "openvino"}
    looked_for = {"torch", "pydantic", "pose_core", "pandas", "scipy", *engines.values()}
    program = (
        "import sys, numpy, pose_run\n"
        f"pose_run.load({str(exports('whole', to)[1])!r}).predict(numpy.zeros((64, 96, 3), 'uint8'))\n"
        f"print(*sorted({looked_for!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == engines[to]


def test_an_engine_that_is_not_installed_is_asked_for(exports: Exports) -> None:
    # What Python does with a module that is not there; in a process that has not used it.
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        f"from pose_run import load; load({str(exports('whole', 'openvino')[1])!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    wanted = r"ExportError: .*network.xml: is computed by OpenVINO.*pip install 'pose-run\[openvino\]'"
    assert re.search(wanted, done.stderr), done.stderr


def test_several_threads_share_a_model(exports: Exports) -> None:
    model = load(exports("whole", "openvino")[1])
    images = [draw(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model.predict, images))
    for found, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(found.keypoints, model.predict(image).keypoints)


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "contract.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(version=2), "has version 2, and this pose-run knows up to 1"),
        (lambda c: c.update(format="else"), "is no contract"),
        (lambda c: c.pop("view"), "is damaged .lacks 'view'"),
        (lambda c: c["network"].update(decoding="outside"), "predict with pose_core"),
        (lambda c: c["network"].update(file="network.pt2"), "export it with --to onnx"),
        (lambda c: c["network"].update(file="../network.onnx"), "is none of the folder"),
        (lambda c: c["view"].update(scale="big"), "'big' is no number"),
        (lambda c: c["use"]["thresholds"].pop("nose"), "no threshold of nose"),
        (lambda c: c["network"]["inputs"].append({"name": "initial_keypoints"}), "refines poses"),
        (lambda c: c["network"].update(files={}), "has no hash of network.onnx"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_one_line(
    copy: Path, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    change(copy, edit)
    with pytest.raises(ExportError, match=message) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none_or_damaged_is_one_line(copy: Path, tmp_path: Path) -> None:
    for folder, message in (
        (tmp_path / "gone", "there is no such folder"),
        (tmp_path, "has no contract.json"),
    ):
        with pytest.raises(ExportError, match=message):
            load(folder)
    file = copy / "network.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ExportError, match="is not the file that was exported"):
        load(copy)
    file.unlink()
    with pytest.raises(
        ExportError, match=r"cannot be read .No such file or directory.; copy the whole folder"
    ):
        load(copy)
    (copy / "contract.json").write_text("{")
    with pytest.raises(ExportError, match="cannot be read"):
        load(copy)


def test_images_and_boxes_that_cannot_be_used_are_one_line(exports: Exports, tmp_path: Path) -> None:
    whole, crops = load(exports("whole")[1]), load(exports("top-down")[1])
    for image, message in (
        (draw(0).astype(np.float32), "must be uint8 of shape"),
        (draw(0)[None], "must be uint8 of shape"),
        (draw(0)[:0], "has no pixels"),
        ([[0]], "must be an array or a path, not list"),
        (tmp_path / "gone.png", "cannot be read .no such file"),
    ):
        with pytest.raises(ExportError, match=message):
            whole.predict(image)
    deep = tmp_path / "deep.png"
    cv2.imwrite(str(deep), draw(0).astype(np.uint16) * 256)
    with pytest.raises(ExportError, match="uint16, not 8 bits"):
        whole.predict(deep)
    with pytest.raises(ExportError, match="leave out the boxes"):
        whole.predict(draw(0), BOXES)
    for boxes, message in (
        (None, "give the boxes"),
        (BOXES[:, :3], "must be an array .A, 4."),
        (BOXES[:, ::-1], "x1 <= x2"),
        (BOXES * np.nan, "must be finite"),
        ("here", "must be an array of numbers"),
    ):
        with pytest.raises(ExportError, match=message):
            crops.predict(draw(0), boxes)
    with pytest.raises(ExportError, match="no such file"):
        next(whole.predict_video(tmp_path / "gone.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ExportError, match="cannot be opened as a video"):
        next(whole.predict_video(tmp_path / "text.mp4"))


def run_command(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        cli.run([str(argument) for argument in arguments])
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_writes_a_table(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = tmp_path / "a.mp4", tmp_path / "a.csv"
    write_numbered_video(video, 5)
    code, printed, _ = run_command(exports("whole")[1], video, "--out", out, capsys=capsys)
    assert (code, printed) == (0, f"{out}: 5 frames\n")
    rows = list(csv.DictReader(out.open(newline="")))
    found = list(load(exports("whole")[1]).predict_video(video))
    assert [row["frame"] for row in rows] == ["0", "1", "2", "3", "4"]
    for row, each in zip(rows, found, strict=True):
        assert float(row["nose_x"]) == pytest.approx(float(each.keypoints[0, 0, 0]), abs=1e-3)
        assert float(row["tail_score"]) == pytest.approx(float(each.keypoint_scores[0, 1]), abs=1e-4)
    code, _, error = run_command(exports("whole")[1], video, "--out", out, capsys=capsys)
    assert (code, error) == (
        2,
        f"error: {out}: exists; add --overwrite to replace it, or choose another --out\n",
    )


def test_the_command_takes_boxes(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out, boxes = tmp_path / "a.mp4", tmp_path / "a.csv", tmp_path / "boxes.csv"
    write_numbered_video(video, 3)
    boxes.write_text("frame,x1,y1,x2,y2,score\n1,2,3,40,30,0.5\n1,5,5,50,45,0.9\n")
    folder = exports("top-down")[1]
    code, _, error = run_command(folder, video, "--out", out, "--boxes", boxes, capsys=capsys)
    assert code == 0, error
    rows = list(csv.DictReader(out.open(newline="")))
    assert [(row["frame"], row["animal"]) for row in rows] == [("0", ""), ("1", "0"), ("1", "1"), ("2", "")]
    assert rows[0]["nose_x"] == ""
    for text, message in (
        ("frame,x1,y1,x2,y2\n7,2,3,40,30\n", "has boxes of frame 7, and the video has 3 frames"),
        ("frame,x1,y1,x2\n0,2,3,40\n", "has no column y2"),
        ("frame,x1,y1,x2,y2\n0,2,3,40,wide\n", "is no table of boxes"),
    ):
        boxes.write_text(text)
        out.unlink(missing_ok=True)
        code, _, error = run_command(folder, video, "--out", out, "--boxes", boxes, capsys=capsys)
        assert code == 2
        assert message in error
        assert error.count("\n") == 1
        assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".a.csv")]


# torch takes half a minute to write SSDLite as ONNX.
@pytest.mark.parametrize("to", [pytest.param("onnx", marks=pytest.mark.slow), "openvino"])
def test_a_folder_with_a_detector_predicts_alone(top_down: Exports, tmp_path: Path, to: str) -> None:
    run, folder = top_down(to)
    model, estimator = load(folder), pose_core.load(run)
    assert not model.needs_boxes
    for image in (draw_smoothly(0, 128, 160), draw_smoothly(1, 91, 203), np.zeros((128, 160, 3), np.uint8)):
        found, (wanted,) = model.predict(image), estimator.predict([image])
        assert_same(found, wanted)
    assert len(model.predict(draw_smoothly(0, 128, 160)).scores) == 3
    # Boxes that are given go first.
    assert len(model.predict(draw_smoothly(0, 128, 160), BOXES[:1]).scores) == 1
    path, table = tmp_path / "video.mp4", tmp_path / "found.csv"
    write_numbered_video(path, 5, width=160, height=128)
    for found, wanted in zip(
        model.predict_video(path, batch_size=2), estimator.predict_video(path), strict=True
    ):
        assert_same(found, wanted)
    cli.run([str(folder), str(path), "--out", str(table)])
    rows = list(csv.DictReader(table.open()))
    assert {row["frame"] for row in rows} == set("01234")


def test_a_detector_is_loaded_as_one(top_down: Exports, tmp_path: Path) -> None:
    run, folder = top_down("openvino")
    detector = pose_run.load_detector(folder / "stages" / "detector")
    images = [draw_smoothly(0, 128, 160), draw_smoothly(1, 91, 203)]
    every = pose_core.load(run, settings={"inference.max_animals": None}).predict(images[:1])[0]
    first, second = detector.find(images)
    assert first.shape == (len(every.instances.boxes), 5)
    np.testing.assert_allclose(first[:, :4], every.instances.boxes, atol=0.05)
    assert len(second) > 0
    assert (first[1:, 4] <= first[:-1, 4]).all()
    with pytest.raises(ExportError, match=r"finds boxes, not poses; name the folder of a pose model"):
        load(folder / "stages" / "detector")
    with pytest.raises(ExportError, match=r"finds poses, not boxes; name the folder of a detector"):
        pose_run.load_detector(folder)
    spoilt = Path(shutil.copytree(folder, tmp_path / "copy"))
    contract = spoilt / "stages" / "detector" / "contract.json"
    content = json.loads(contract.read_text())
    content["network"]["outputs"].reverse()
    contract.write_text(json.dumps(content))
    with pytest.raises(ExportError, match=r"is damaged \(it puts out scores, boxes, not boxes and scores\)"):
        load(spoilt)
    (spoilt / "stages" / "detector" / "network.bin").write_bytes(b"")
    content["network"]["outputs"].reverse()
    contract.write_text(json.dumps(content))
    with pytest.raises(ExportError, match=r"network\.bin: is not the file that was exported"):
        load(spoilt)
