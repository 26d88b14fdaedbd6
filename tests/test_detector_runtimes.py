"""Runtimes compute detectors, too: the same boxes, in the form of fixed numbers that a detector offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pose_openvino.runtime import OpenVinoRuntime
from pose_torchvision.ssdlite import SSDLite
from tiny_detector import make_detector, make_top_down

import pose_core
from pose_core.errors import ConfigError, PluginError
from pose_core.interfaces import Detector, Runtime
from pose_core.model.detector import DetectorModel
from pose_core.model.detector_runner import find_box_difference, use_detector_runtime
from pose_core.pipeline import computing
from pose_core.pipeline.computing import TORCH, VARIABLE
from pose_core.reporting import set_reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RuntimeConfig, parse_component
from pose_core.structures import ByteArray
from tests.conftest import PoseCommand

ONNX, OPENVINO = "onnxruntime", "openvino"

each_runtime = pytest.mark.parametrize(
    # torch takes half a minute to write SSDLite as ONNX.
    "runtime",
    [pytest.param(ONNX, marks=pytest.mark.slow), OPENVINO],
)


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


@pytest.fixture
def notes() -> Any:
    """What is noted while the test runs."""
    made = Notes()
    before = set_reporter(made)
    yield made.lines
    set_reporter(before)


def load(run: Path) -> DetectorModel:
    return Run.open(run, DetectorRunSpec).load_model()


def compute_by(model: DetectorModel, runtime: str, cache: Path) -> None:
    form = cast(Detector, model.network).make_exportable()
    assert form is not None
    config = parse_component("runtime", RuntimeConfig, {"type": runtime})
    use_detector_runtime(model, form, config, cache, "it")
    assert model.compute is not None


def assert_same(found: tuple[torch.Tensor, torch.Tensor], wanted: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert (found[1] > 0).sum(1).tolist() == (wanted[1] > 0).sum(1).tolist()
    assert found[1].shape == wanted[1].shape
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=0.01, equal_nan=True)


@each_runtime
def test_it_finds_the_same_boxes_in_any_number_of_images(runtime: str, tmp_path: Path) -> None:
    wanted, found = (load(make_detector(tmp_path / name)) for name in ("one", "other"))
    compute_by(found, runtime, tmp_path / "kept")
    random = torch.Generator().manual_seed(1)
    for number in (1, 3):
        images = torch.randint(0, 256, (number, 3, 128, 160), dtype=torch.uint8, generator=random)
        # Of a batch, images without any animal, too.
        images[1:2] = 0
        boxes = found.predict(images)
        assert_same(boxes, wanted.predict(images))
        assert int((boxes[1] > 0).sum()) > 3
    nothing = torch.zeros(2, 3, 128, 160, dtype=torch.uint8)
    assert_same(found.predict(nothing), wanted.predict(nothing))


@pytest.mark.slow
@each_runtime
def test_sides_of_any_length_and_faster_rcnn(runtime: str, tmp_path: Path) -> None:
    for name, network in (
        ("ssdlite", {"size": None}),
        ("fasterrcnn_mobilenet_v3_large_fpn", {"threshold": 0.0}),
    ):
        run = make_detector(tmp_path / name, type=f"torchvision/{name}", **network)
        wanted, found = load(run), load(run)
        compute_by(found, runtime, tmp_path / f"kept-{name}")
        sides = [(128, 160)] if network.get("size", 1) else [(256, 320), (96, 128), (160, 256)]
        for number, (height, width) in enumerate(sides, start=1):
            images = torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8)
            ours, theirs = found.predict(images), wanted.predict(images)
            filled = [(boxes.nan_to_num(), scores) for boxes, scores in (ours, theirs)]
            assert find_box_difference(*filled) is None


def draw(random: np.random.Generator, height: int, width: int) -> ByteArray:
    """A picture whose crops hardly change where a box is a thousandth of a pixel elsewhere."""
    noise = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@each_runtime
def test_a_top_down_run_is_computed_as_a_whole_and_kept(
    runtime: str, tmp_path: Path, cache: Path, notes: list[str]
) -> None:
    run = make_top_down(tmp_path / "run")
    wanted, found = pose_core.load(run, runtime="torch"), pose_core.load(run, runtime=runtime)
    random = np.random.default_rng(0)
    for shape in ((128, 160), (91, 203)):
        images = [draw(random, *shape) for _ in range(3)]
        images[1] = np.zeros((*shape, 3), np.uint8)
        frames = list(zip(found.predict(images), wanted.predict(images), strict=True))
        assert len(frames[0][1].instances.scores) == 3
        off = [np.abs(one.instances.keypoints - other.instances.keypoints) for one, other in frames]
        # Crops of moved boxes have other grey levels, and show up to five pixels as one; where two cells of a map are
        # nearly the same, another number of threads can make the other one the peak.
        assert np.quantile(off, 0.9) <= 0.1
        assert np.max(off) <= 2.0
        for one, other in frames:
            np.testing.assert_allclose(one.instances.boxes, other.instances.boxes, atol=0.01)
            np.testing.assert_allclose(one.instances.scores, other.instances.scores, atol=1e-4)
    assert found.computing.name.endswith(f"/{runtime}")
    assert not notes
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.suffix in (".onnx", ".bin")}
    assert len(kept) == 2, "one file of the pose network, one of the detector"
    pose_core.load(run, runtime=runtime)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.long
def test_what_is_wrong_in_the_cache_is_made_anew(tmp_path: Path) -> None:
    model = load(make_detector(tmp_path / "run"))
    compute_by(model, OPENVINO, tmp_path / "kept")
    (file,) = (tmp_path / "kept").rglob("network.bin")
    # As many numbers of other weights.
    file.write_bytes(bytes(reversed(file.read_bytes())))
    again = load(tmp_path / "run")
    compute_by(again, OPENVINO, tmp_path / "kept")
    images = torch.randint(0, 256, (2, 3, 128, 160), dtype=torch.uint8)
    assert_same(again.predict(images), model.predict(images))


@pytest.mark.long
def test_auto_measures_detector_and_pose_network_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    monkeypatch.delenv(VARIABLE)
    for name, value in {"LONG": 1, "WORTH": 0, "OPENING": 0.0}.items():
        monkeypatch.setattr(computing, name, value)
    candidates = [c for c in computing._list_candidates() if c.name == OPENVINO]
    monkeypatch.setattr(computing, "_list_candidates", lambda: candidates)
    timed: list[int] = []
    real = computing.compute_again

    def watch(network: computing.AnyNetwork, tensors: computing.Tensors) -> None:
        timed.append(len(tensors[0]) if isinstance(network, computing.RunDetector) else -len(tensors[0]))
        real(network, tensors)

    monkeypatch.setattr(computing, "compute_again", watch)
    times = iter([0.02, 0.01])
    monkeypatch.setattr(computing.statistics, "median", lambda values: next(times))
    run = make_top_down(tmp_path / "run")
    estimator = pose_core.load(run)
    images = [np.random.default_rng(i).integers(0, 256, (128, 160, 3), dtype=np.uint8) for i in range(2)]

    def try_out() -> int:
        estimator.pipeline.run_once(images, 0)
        return len(images)

    estimator.computing.choose(500, try_out)
    assert set(timed) == {2, -6}, "two frames, and six crops of them"
    assert estimator.computing.name.endswith(f"/{OPENVINO}")
    assert notes[-1].startswith("runtime: openvino computes the network")
    # Known from now on.
    again = pose_core.load(run)
    again.computing.prepare(500)
    assert again.computing.name.endswith(f"/{OPENVINO}")


def test_a_detector_without_such_a_form_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    run = make_top_down(tmp_path / "run")
    monkeypatch.setattr(SSDLite, "make_exportable", Detector.make_exportable)
    refused = r"^runtime openvino: the detector torchvision/ssdlite offers no form that runtimes can"
    with pytest.raises(ConfigError, match=refused):
        pose_core.load(run, runtime=OPENVINO)
    assert not notes
    monkeypatch.setenv(VARIABLE, OPENVINO)
    assert pose_core.load(run).computing.name.endswith(f"/{OPENVINO}")
    (line,) = notes
    assert line.startswith("note: torch computes the detector torchvision/ssdlite, which offers no form")
    monkeypatch.setenv(VARIABLE, "torch")
    assert pose_core.load(run).computing.name == TORCH
    assert len(notes) == 1


def test_extra_work_is_said_where_the_runtime_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    run = make_top_down(tmp_path / "run")
    monkeypatch.setattr(SSDLite, "describe_extra_work", lambda self: "computes everything twice")
    # That they compute is shown elsewhere.
    for name in ("use_runtime", "use_detector_runtime"):
        monkeypatch.setattr(computing, name, lambda *given: None)
    pose_core.load(run, runtime="torch")
    monkeypatch.setenv(VARIABLE, "auto")
    pose_core.load(run).computing.use(OPENVINO)
    assert not notes, "auto measures it"
    pose_core.load(run, runtime=OPENVINO)
    (line,) = notes
    assert line == (
        "note: runtime openvino: the detector torchvision/ssdlite computes everything twice; the runtime auto measures "
        "whether torch is faster"
    )
    monkeypatch.setenv(VARIABLE, OPENVINO)
    pose_core.load(run)
    assert len(notes) == 2


@pytest.mark.long
def test_the_command_says_that_faster_rcnn_takes_longer(
    tmp_path: Path, pose: PoseCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_top_down(tmp_path / "run", type="torchvision/fasterrcnn_mobilenet_v3_large_fpn")
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), draw(np.random.default_rng(0), 128, 160))
    for runtime, said in (("torch", 0), (OPENVINO, 1)):
        done = pose(
            "predict", run, image, "--out", tmp_path / runtime, "--device", "cpu", "--runtime", runtime
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("sends 1000 proposals through its second stage") == said, done.stderr


@pytest.mark.long
def test_a_detector_alone_is_evaluated_by_it(tmp_path: Path, blob_project: Path) -> None:
    run = make_detector(tmp_path / "run", blob_project)
    wanted, found = (pose_core.evaluate(run, runtime=runtime).to_json() for runtime in ("torch", OPENVINO))
    assert found == wanted
    with pytest.raises(ConfigError, match=r"runtime: .*openwine"):
        pose_core.evaluate(run, runtime="openwine")
    with pytest.raises(
        ConfigError, match=r"precision=8: .* holds a detector, which stays in 32 bits; leave it out"
    ):
        pose_core.evaluate(run, precision=8)


def test_one_that_finds_other_boxes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute_wrongly(self: OpenVinoRuntime, tensors: Any) -> Any:
        boxes, scores = self.context.network(*tensors)
        return boxes + 2.0, scores

    monkeypatch.setattr(OpenVinoRuntime, "__init__", Runtime.__init__)
    monkeypatch.setattr(OpenVinoRuntime, "run", compute_wrongly)
    model = load(make_detector(tmp_path / "run"))
    with pytest.raises(PluginError, match=r"computes something else than it: .* boxes have no partner"):
        compute_by(model, OPENVINO, tmp_path / "kept")


@given(
    seed=st.integers(0, 1000),
    order=st.permutations(range(12)),
    moved=st.sampled_from([0.0, 0.01, 5.0]),
    rows=st.integers(0, 12),
)
def test_boxes_are_compared_whatever_their_order(
    seed: int, order: list[int], moved: float, rows: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    boxes = 300 * torch.rand(2, 12, 4, generator=random)
    scores = 0.1 + 0.9 * torch.rand(2, 12, generator=random)
    other = boxes[:, order].clone()
    other[:, :rows] += moved
    problem = find_box_difference((other, scores[:, order]), (boxes, scores))
    # One box in twenty may be another one, and one in twelve is more than that.
    assert (problem is None) == (moved < 1.0 or rows == 0)
