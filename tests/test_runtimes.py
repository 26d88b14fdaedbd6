"""What computes networks: chosen by name, compared with the network, kept in the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pose_onnxruntime.runtime import count_lanes

import pose_core
from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, PluginError
from pose_core.interfaces import Predictions
from pose_core.io.downloads import get_cache_folder
from pose_core.model.build import build_model
from pose_core.model.runner import make_pixels, use_runtime
from pose_core.pipeline.crops import Crops
from pose_core.specs import RuntimeConfig, parse_component
from pose_core.structures import ByteArray
from tests.conftest import PoseCommand
from tests.helpers.calibrated import build_calibrated
from tests.helpers.throw_away_plugins import install, with_site
from tests.helpers.tiny_run import make_run
from tests.test_every_model import SMALLEST, key, spec_of

ONNX, OPENVINO = "onnxruntime", "openvino"
FILES = {ONNX: "*.onnx", OPENVINO: "network.bin"}
"""What each of our runtimes keeps."""


each_runtime = pytest.mark.parametrize("runtime", FILES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


@pytest.fixture
def images() -> list[ByteArray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (71, 97, 3), dtype=np.uint8) for _ in range(5)]


def config_of(name: str, **settings: object) -> RuntimeConfig:
    return parse_component("runtime", RuntimeConfig, {"type": name, **settings})


def succeed(pose: PoseCommand, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    done = pose(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def keypoints(frames: list[pose_core.structures.Frame]) -> np.ndarray[Any, Any]:
    return np.stack([frame.instances.keypoints for frame in frames])


@each_runtime
def test_it_finds_the_same_keypoints_in_images_of_any_size(
    runtime: str, tmp_path: Path, cache: Path, images: list[ByteArray]
) -> None:
    run = make_run(tmp_path / "run")
    wanted, found = pose_core.load(run), pose_core.load(run, runtime=runtime)
    for batch in (images, images[:1], [np.ascontiguousarray(image[:40]) for image in images[:3]]):
        np.testing.assert_allclose(
            keypoints(found.predict(batch)), keypoints(wanted.predict(batch)), atol=0.01
        )
    (file,) = cache.rglob(FILES[runtime])
    written = file.stat().st_mtime_ns
    again = pose_core.load(run, runtime=runtime)
    np.testing.assert_array_equal(keypoints(again.predict(images)), keypoints(found.predict(images)))
    assert file.stat().st_mtime_ns == written, "the second use exports again"


@pytest.mark.long
@each_runtime
def test_what_is_wrong_in_the_cache_is_made_anew(
    runtime: str, tmp_path: Path, cache: Path, images: list[ByteArray]
) -> None:
    run, other = make_run(tmp_path / "run"), make_run(tmp_path / "other", seed=1)
    wanted = keypoints(pose_core.load(run).predict(images))
    pose_core.load(run, runtime=runtime)
    (file,) = cache.rglob(FILES[runtime])
    pose_core.load(other, runtime=runtime)
    (others,) = set(cache.rglob(FILES[runtime])) - {file}
    for wrong in (others.read_bytes(), b"", b"no model"):
        file.write_bytes(wrong)
        np.testing.assert_allclose(
            keypoints(pose_core.load(run, runtime=runtime).predict(images)), wanted, atol=0.01
        )


@each_runtime
def test_any_number_of_crops_goes_through(runtime: str, tmp_path: Path) -> None:
    model = next(m for m in get_catalog().models() if key(m) == ("top_down", "top_down_unet"))
    spec = spec_of(model, model={"preprocess": {"scale": 1.0, "min_box": 16.0}})
    torch.manual_seed(0)
    network = build_model(spec).eval()
    crops = Crops(network, spec.model.decided_preprocess(), at_once=16)
    cases = []
    for count in (0, 1, 30):
        frames = [
            np.random.default_rng(i).integers(0, 256, (90, 120, 3), dtype=np.uint8) for i in range(count)
        ]
        boxes = np.array([[i, 2 * i, i + 40, 2 * i + 30] for i in range(count)], np.float32).reshape(-1, 4)
        cases.append((frames, boxes, crops.predict(frames, boxes).keypoints))
    use_runtime(network, config_of(runtime), tmp_path / "kept", "it")
    assert network.compute is not None
    for frames, boxes, wanted in cases:
        np.testing.assert_allclose(crops.predict(frames, boxes).keypoints, wanted, atol=0.01)


def check_family(runtime: str, method: str, name: str, cache: Path, **settings: object) -> None:
    """Outputs and keypoints are those of the network, of one image and of three, of another size where it may be."""
    spec = spec_of(next(m for m in get_catalog().models() if key(m) == (method, name)))
    network = build_calibrated(spec)
    use_runtime(network, config_of(runtime, **settings), cache, name)
    assert network.compute is not None
    for images in (1, 3):
        pixels, *extra = make_pixels(network, images)
        if spec.model.preprocess.size is None:
            more = network.size_multiple
            pixels = torch.nn.functional.pad(pixels, (0, more, 0, 2 * more))
            extra = [torch.nn.functional.pad(each, (0, more, 0, 2 * more)) for each in extra]
        named = dict(zip(network.inputs, extra, strict=True))
        with torch.inference_mode():
            wanted = network(network.normalise(pixels), **named)
            found = network.compute(pixels, named)
            for head, tensors in wanted.items():
                for output, tensor in tensors.items():
                    off = (found[head][output] - tensor).abs().max()
                    assert off <= 1e-4 * tensor.abs().max().clamp(min=1e-6), (head, output)
            one, other = network.decode(found), network.decode(wanted)
        assert_same(one, other)


def assert_same(one: Predictions, other: Predictions) -> None:
    assert torch.equal(one.keypoints.isnan(), other.keypoints.isnan())
    off = (one.keypoints - other.keypoints).nan_to_num().abs()
    assert off.numel() == 0 or float(off.max()) <= 0.01


@pytest.mark.parametrize(
    ("runtime", "method", "name"),
    [
        (ONNX, "single_animal", "unet"),
        (ONNX, "conditional_top_down", "ctd_prenet_unet"),
        *((OPENVINO, "single_animal", backbone) for backbone in ("unet", "resnet_18", "cspnext_s")),
        (OPENVINO, "conditional_top_down", "ctd_prenet_unet"),
    ],
)
def test_small_networks_agree(runtime: str, method: str, name: str, tmp_path: Path) -> None:
    check_family(runtime, method, name, tmp_path / "kept")


@pytest.mark.parametrize(
    ("method", "name"), [("single_animal", "unet"), ("conditional_top_down", "ctd_prenet_unet")]
)
def test_onnx_runtime_computes_large_images_side_by_side(
    method: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pose_onnxruntime.runtime.LARGE", 1)
    lanes: list[int] = []

    def count(images: torch.Tensor, threads: int) -> int:
        lanes.append(count_lanes(images, threads))
        return lanes[-1]

    monkeypatch.setattr("pose_onnxruntime.runtime.count_lanes", count)
    check_family(ONNX, method, name, tmp_path / "kept", threads=2)
    assert set(lanes) == {1, 2}, "one image, and three"


@pytest.mark.parametrize(
    ("size", "images", "threads", "lanes"),
    [
        ((480, 640), 8, 2, 2),
        ((480, 640), 8, 1, 1),
        ((480, 640), 1, 2, 1),
        ((256, 256), 8, 2, 1),
        ((480, 640), 2, 9, 2),
    ],
)
def test_only_large_images_of_one_batch_are_computed_side_by_side(
    size: tuple[int, int], images: int, threads: int, lanes: int
) -> None:
    assert count_lanes(torch.empty(1, 1, 1, 1).expand(images, 3, *size), threads) == lanes


@pytest.mark.slow
@each_runtime
@pytest.mark.parametrize(("method", "name"), SMALLEST)
def test_every_family_agrees(runtime: str, method: str, name: str, tmp_path: Path) -> None:
    check_family(runtime, method, name, tmp_path / "kept")


def test_a_command_predicts_and_evaluates_with_it(
    pose: PoseCommand, tmp_path: Path, blob_project: Path
) -> None:
    run = make_run(tmp_path / "run")
    picture = next(iter(sorted(blob_project.rglob("*.png"))))
    tables = []
    for runtime in ("torch", ONNX):
        out = tmp_path / runtime
        succeed(pose, "predict", run, picture, "--out", out, "--runtime", runtime)
        (result,) = out.glob("*.parquet")
        tables.append(pd.read_parquet(result))
        note = json.loads(result.with_name(f"{result.name}.info").read_text())
        assert note["maker"]["runtime"].endswith(f"/{runtime}")
    numbers = tables[0].select_dtypes("number").columns
    assert len(numbers) > 4
    np.testing.assert_allclose(tables[1][numbers], tables[0][numbers], atol=0.01)


def test_runtimes_are_listed_with_their_devices(pose: PoseCommand) -> None:
    rows = {row["name"]: row for row in json.loads(succeed(pose, "runtimes", "--json"))}
    assert "cpu" in rows["torch"]["devices"]
    # 16 bits where the processor has bfloat16.
    assert rows[OPENVINO]["precisions"] in ({"cpu": [32, 8]}, {"cpu": [32, 16, 8]})
    assert rows["auto"]["devices"] == rows["torch"]["devices"]
    assert rows[ONNX] == rows[ONNX] | {"devices": ["cpu"], "missing": None, "plugin": "onnxruntime"}
    assert re.search(r"torch +core +cpu", succeed(pose, "runtimes"))


def test_names_and_devices_that_are_not_there_are_one_line(pose: PoseCommand, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    line = pose.refuses("predict", run, tmp_path, "--out", tmp_path / "out", "--runtime", "onnxrumtime")
    assert "--runtime" in line
    assert "onnxruntime" in line
    with torch.device("meta"):
        network = build_model(spec_of(next(m for m in get_catalog().models() if m.name == "unet")))
    with pytest.raises(ConfigError, match="runtime onnxruntime: does not compute on meta here, only on cpu"):
        use_runtime(network, config_of(ONNX), tmp_path, "it")


STRANGER = '''
import torch
from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl
from pose_core.interfaces import Runtime
from pose_core.specs import RuntimeConfig


class DoublingConfig(RuntimeConfig):
    """Of a stranger."""


class Doubling(Runtime):
    @classmethod
    def devices(cls):
        return ["cpu"]

    def run(self, tensors):
        print("the stranger computes")
        with torch.inference_mode():
            return [FACTOR * found for found in self.context.network(*tensors)]


@hookimpl
def pose_plugin_info():
    return PluginInfo("stranger", "A runtime of a stranger", "BSD-3-Clause", "1.0")


@hookimpl
def pose_components():
    yield ComponentSpec(
        "runtime", "doubling", "pose_stranger.plugin:DoublingConfig", "pose_stranger.plugin:Doubling", "A toy"
    )
'''


@pytest.mark.long
def test_a_plugin_of_a_stranger_computes_predictions_and_wrong_ones_are_refused(
    pose: PoseCommand, tmp_path: Path, blob_project: Path
) -> None:
    run = make_run(tmp_path / "run")
    picture = next(iter(sorted(blob_project.rglob("*.png"))))
    for i, factor in enumerate(("1.0", "1.1", "1 / 0")):
        folder = tmp_path / f"plugin-{i}"
        install(folder, "stranger", "stranger", {"plugin.py": STRANGER.replace("FACTOR", factor)})
        arguments = ("predict", run, picture, "--out", folder / "out", "--runtime", "doubling")
        if factor == "1.0":
            assert "the stranger computes" in succeed(pose, *arguments, env=with_site(folder))
        else:
            line = pose.refuses(*arguments, env=with_site(folder))
            assert ("computes something else than" if factor == "1.1" else "division by zero") in line


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    factory = get_catalog().component("runtime", ONNX).factory()
    monkeypatch.setattr(factory, "packages", {"no_such_module": "no-such-package"})
    network = build_model(spec_of(next(m for m in get_catalog().models() if m.name == "unet")))
    with pytest.raises(ConfigError, match="needs no-such-package, which is not installed: pip install"):
        use_runtime(network.eval(), config_of(ONNX), tmp_path, "it")


class Unexportable(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
        # A branch that depends on values, which no exporter can follow.
        return {"head": {"map": images if images.sum() > 0 else -images}}


def test_a_network_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    network = build_model(spec_of(next(m for m in get_catalog().models() if m.name == "unet"))).eval()
    inner = Unexportable()
    network.forward = inner.forward  # type: ignore[method-assign]
    with pytest.raises(
        (ConfigError, PluginError), match="runtime onnxruntime: it cannot be exported to ONNX: "
    ):
        use_runtime(network, config_of(ONNX), tmp_path / "kept", "it")
    assert not list((tmp_path / "kept").rglob("*.onnx"))


def test_the_cache_is_where_the_environment_says(cache: Path) -> None:
    assert get_cache_folder() == cache.parent
