"""Fewer bits: compared with 32 on validation images, refused where far off; eight are calibrated on training images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core.errors import ConfigError
from pose_core.model.torch_runtime import TorchRuntime
from pose_core.pipeline import low_precision
from pose_core.pipeline.low_precision import Drift, compare
from pose_core.reporting import set_reporter
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage
from tests.conftest import PoseCommand
from tests.helpers.tiny_run import make_run

EIGHT = {"precision": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def project(blob_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project of discs, which a test may move."""
    folder = tmp_path_factory.mktemp("precision") / "project"
    shutil.copytree(blob_project, folder)
    return folder


@pytest.fixture(scope="module")
def trained(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that finds the discs."""
    settings = {
        "model.preprocess.scale": 1,
        "model.backbone.filters": 4,
        "model.backbone.max_stride": 8,
        "model.backbone.output_stride": 2,
        "augmentation.crop.size": [48, 48],
    }
    out = tmp_path_factory.mktemp("trained") / "run"
    return pose_core.train(project, "unet", out=out, settings=settings, epochs=25, device="cpu").path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


def make_image() -> np.ndarray:
    return np.random.default_rng(0).integers(90, 120, (1, 64, 64, 3)).astype(np.uint8)


def test_eight_bits_find_the_same_keypoints_and_say_what_moved(
    pose: PoseCommand, trained: Path, project: Path, tmp_path: Path, cache: Path
) -> None:
    picture = next(iter(sorted(project.rglob("*.png"))))
    done = pose("predict", trained, picture, "--precision", "8", "--device", "cpu", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "calibrating unet/unet with images of its training" in done.stderr
    (kept,) = cache.glob("openvino-*/drift.json")
    drift = json.loads(kept.read_text())["drift"]
    assert (drift["images"], drift["keypoints"]) == (3, 6)
    assert drift["mean"] < 0.5
    assert f"keypoints move by {drift['mean']:.3f} px in the mean (95 %: {drift['p95']:.3f} px" in done.stderr
    assert f"from {drift['error_32']:.3f} to {drift['error_low']:.3f} px" in done.stderr
    note = json.loads(next((tmp_path / "out").glob("*.info")).read_text())["maker"]
    assert (note["precision"], note["runtime"]) == (8, "openvino/openvino")
    written = kept.stat().st_mtime_ns
    (one,) = pose_core.load(trained, **EIGHT).predict(make_image())  # type: ignore[arg-type]
    assert kept.stat().st_mtime_ns == written, "the second use calibrates again"
    (other,) = pose_core.load(trained, device="cpu").predict(make_image())
    # Eight bits took part: the numbers are others.
    assert not np.array_equal(one.instances.keypoints, other.instances.keypoints)


def test_more_than_half_a_pixel_is_refused_unless_it_is_accepted(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[tuple[str, ...]] = []
    real = compare

    def far_off(*arguments: object, keep_float: tuple[str, ...], **named: object) -> Drift:
        ways.append(keep_float)
        return replace(real(*arguments, keep_float=keep_float, **named), mean=0.75)  # type: ignore[arg-type]

    monkeypatch.setattr(low_precision, "compare", far_off)
    with pytest.raises(ConfigError, match=r"by 0.750 px in the mean.* is not used without accept_drift=True"):
        pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
    assert ways == [(), ("model.heads",)]
    # It is remembered: nothing is made again, and it is refused again.
    with pytest.raises(ConfigError, match=r"0\.750 px"):
        pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
    assert len(ways) == 2
    estimator = pose_core.load(trained, accept_drift=True, **EIGHT)  # type: ignore[arg-type]
    assert estimator.computing.name == "openvino/openvino"


def test_heads_stay_in_float_where_that_mends_it(
    trained: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    real = compare

    def without_heads(*arguments: object, keep_float: tuple[str, ...], **named: object) -> Drift:
        drift = real(*arguments, keep_float=keep_float, **named)  # type: ignore[arg-type]
        return drift if keep_float else replace(drift, mean=0.75)

    monkeypatch.setattr(low_precision, "compare", without_heads)
    pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
    drift = json.loads(next(cache.glob("openvino-*/drift.json")).read_text())["drift"]
    assert drift["keep_float"] == ["model.heads"]
    files = {path.parent.name: path.read_text() for path in cache.rglob("network.xml")}
    integers = {name: text.count('element_type="i8"') for name, text in files.items()}
    assert integers["network-8"] > integers["network-8-model.heads"] > integers["network"] == 0


def test_files_that_are_not_those_that_were_compared_are_made_anew(trained: Path, cache: Path) -> None:
    pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
    (kept,) = cache.glob("openvino-*/drift.json")
    before = kept.stat().st_mtime_ns
    weights = next(path for path in cache.rglob("network.bin") if "network-8" in str(path))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0x7F
    weights.write_bytes(content)
    pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
    assert kept.stat().st_mtime_ns > before
    assert weights.read_bytes() != content


def test_images_that_were_moved_are_asked_for(trained: Path, project: Path, pose: PoseCommand) -> None:
    moved = project.with_name("moved")
    project.rename(moved)
    try:
        line = pose.refuses("evaluate", trained, "--data", moved, "--precision", "8", "--device", "cpu")
        assert "--set data.source=PATH" in line
        with pytest.raises(ConfigError, match=r'settings=\{"data.source": "PATH"\}'):
            pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]
        settings = {"data.source": str(moved)}
        assert pose_core.load(trained, settings=settings, **EIGHT).computing.name  # type: ignore[arg-type]
    finally:
        moved.rename(project)


@pytest.fixture
def half_on_cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a GPU has, on the CPU: autocast computes there as well."""
    monkeypatch.setattr(TorchRuntime, "precisions", classmethod(lambda cls, device: (32, 16)))
    return {"precision": 16, "device": "cpu"}


class Notes:
    """A reporter that keeps notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        pass


@pytest.fixture
def notes() -> Iterator[list[str]]:
    reporter = Notes()
    before = set_reporter(reporter)
    yield reporter.lines
    set_reporter(before)


def test_half_precision_is_compared_once(
    trained: Path, half_on_cpu: dict[str, Any], cache: Path, notes: list[str]
) -> None:
    (one,) = pose_core.load(trained, **half_on_cpu).predict(make_image())
    (kept,) = cache.glob("torch-*/drift.json")
    drift = json.loads(kept.read_text())["drift"]
    assert (drift["images"], drift["keypoints"], drift["calibrated"]) == (3, 6, 0)
    assert 0 < drift["mean"] < 0.2
    (line,) = notes
    said = f"precision 16: unet/unet: on 3 validation images keypoints move by {drift['mean']:.3f} px in the mean"
    assert line.startswith(said)
    written = kept.stat().st_mtime_ns
    (again,) = pose_core.load(trained, **half_on_cpu).predict(make_image())
    assert kept.stat().st_mtime_ns == written, "the second use compares again"
    np.testing.assert_array_equal(one.instances.keypoints, again.instances.keypoints)
    (other,) = pose_core.load(trained, device="cpu").predict(make_image())
    assert not np.array_equal(one.instances.keypoints, other.instances.keypoints)


def test_half_precision_that_moves_keypoints_is_refused(
    trained: Path, half_on_cpu: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compare
    far_off = lambda *arguments, **named: replace(real(*arguments, **named), mean=0.75)  # noqa: E731
    monkeypatch.setattr(low_precision, "compare", far_off)
    with pytest.raises(
        ConfigError, match=r"precision 16: .* by 0.750 px in the mean.* without accept_drift=True"
    ):
        pose_core.load(trained, **half_on_cpu)
    assert pose_core.load(trained, accept_drift=True, **half_on_cpu).computing.name == "core/torch"


def test_half_precision_without_images_is_used_and_said(
    tmp_path: Path, half_on_cpu: dict[str, Any], notes: list[str]
) -> None:
    estimator = pose_core.load(make_run(tmp_path / "run"), **half_on_cpu)
    assert len(estimator.predict(make_image())) == 1
    (line,) = notes
    assert line.startswith("note: precision 16: tiny was not compared with 32 bits: ")


def test_what_does_not_compute_with_so_many_bits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(
        ConfigError, match="runtime torch: computes with 32 bits on cpu, not with 8; choose another"
    ):
        pose_core.load(run, runtime="torch", **EIGHT)  # type: ignore[arg-type]
    with monkeypatch.context() as without:
        without.setattr("pose_openvino.runtime.has_bfloat16", lambda core: False)
        with pytest.raises(
            ConfigError, match="precision 16: is for GPUs, and for processors with bfloat16 where"
        ):
            pose_core.load(run, precision=16, device="cpu")
    with pytest.raises(ConfigError, match="precision: must be 32, 16 or 8, not 4"):
        pose_core.load(run, precision=4, device="cpu")


def test_a_missing_nncf_is_named_with_the_command(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(
        ConfigError, match=r"8 bits need nncf, which is not installed: pip install 'pose-openvino\[int8\]'"
    ):
        pose_core.load(trained, **EIGHT)  # type: ignore[arg-type]


@given(moved=st.lists(st.floats(0, 3), min_size=1, max_size=8), lost=st.integers(0, 2))
def test_drift_is_the_distance_that_keypoints_moved(moved: list[float], lost: int) -> None:
    count = len(moved) + lost
    at = np.stack([40.0 * np.arange(count) + 50, np.full(count, 60.0)], axis=-1).astype(np.float32)
    then = at.copy()
    then[: len(moved), 1] += moved
    then[len(moved) :] = np.nan
    labels = LabelledImage.create(
        ImageFile(Path("a.png")), "a.png", 900, 120, Instances.from_keypoints(at[None])
    )
    frames = [Frame(0, Instances.from_keypoints(points[None])) for points in (at, then)]
    drift = compare([labels], frames[:1], frames[1:], several=False, calibrated=1)
    assert drift.mean == pytest.approx(np.mean(moved), abs=1e-4)
    assert drift.p95 == pytest.approx(np.percentile(moved, 95), abs=1e-4)
    assert (drift.error_32, drift.keypoints, drift.lost) == (0.0, len(moved), lost)
    assert drift.error_low == pytest.approx(drift.mean)
    assert drift.small == (drift.mean <= 0.5 and not lost)
