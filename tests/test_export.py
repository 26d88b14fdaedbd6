"""Exported folders: what they hold, that they are proven, and what is refused."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import pose_core
from pose_core.catalog import get_catalog
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, DataError, PluginError, RunError
from pose_core.exporting import export_run
from pose_core.exporting.export_run import make_exporter
from pose_core.exporting.proof import differ_in_outputs, takes_any_size
from pose_core.interfaces.exporter import ExporterContext
from pose_core.model.build import build_model
from pose_core.model.exported import ExportedNetwork
from pose_core.model.torch_exporter import TorchExporter, refuse_pickles
from pose_core.runs.run_folder import Run
from pose_core.specs import ExporterConfig, RunSpec
from pose_core.specs.resolve import make_settings_layer
from tests.conftest import PoseCommand
from tests.helpers.calibrated import build_calibrated
from tests.helpers.tiny_run import make_run
from tests.helpers.traced_exporter import TracedExporter
from tests.test_every_model import SMALLEST, key, spec_of

TOP_DOWN = {"method": "top_down", "preprocess": {"scale": 1.0, "min_box": 16.0, "size": [64, 64]}}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[TracedExporter]:
    """An exporter that takes no time, in the place of every other."""

    class Quick(TracedExporter):
        pass

    monkeypatch.setattr(export_run, "make_exporter", lambda content: (Quick(ExporterConfig()), "test/traced"))
    return Quick


def make_run_of(project: Path, path: Path, model: dict[str, Any] | None = None) -> Path:
    """A run of random weights whose validation images are some of a project."""
    make_run(path, model=model)
    names = [image.name for image in read_project(project).images]
    run = Run.open(path, RunSpec)
    skeleton = {"keypoints": ["red", "green"], "edges": [["red", "green"]]}
    content = run.spec.model_dump(mode="json") | {"skeleton": skeleton}
    content["data"]["source"] = str(project)
    spec = RunSpec.model_validate(content)
    split = {"train": names[7:], "validation": names[:7], "test": []}
    made = Run.create(path, spec, {"split": split})
    torch.manual_seed(0)
    made.save_weights(build_model(spec).state_dict())
    return path


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def list_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_holds_file_contract_example_and_proof(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_run_of(blob_project, tmp_path / "run")
    made = pose_core.export(run, "traced", tmp_path / "out")
    names = [
        "contract.json",
        "example/expected.json",
        "example/frame.png",
        "example/input.png",
        "network.traced",
    ]
    assert list_names(tmp_path / "out") == [*names, "proof.json"]
    contract, proof = read(tmp_path / "out" / "contract.json"), read(tmp_path / "out" / "proof.json")
    assert (contract, proof) == (made.contract, made.proof)
    assert (contract["format"], contract["version"]) == ("pose-export", 1)
    (image,) = contract["network"]["inputs"]
    assert (image["dtype"], image["shape"], image["multiple"]) == ("uint8", [None, None, None, 3], 8)
    shapes = {put["name"]: put["shape"] for put in contract["network"]["outputs"]}
    assert shapes == {"keypoints": [None, 1, 2, 2], "keypoint_scores": [None, 1, 2], "scores": [None, 1]}
    assert contract["skeleton"]["keypoints"] == ["red", "green"]
    assert contract["view"]["scale"] == 0.5
    assert contract["use"] == {"thresholds": {"red": 0.0, "green": 0.0}, "max_animals": 1}
    assert str(tmp_path) not in (tmp_path / "out" / "contract.json").read_text(), "the folder cannot be moved"
    assert proof["images"] == proof["images"] | {"of": "validation", "used": 7, "there": 7}
    assert proof["batches"] == [1, 3]
    assert proof["pictures"] == proof["keypoints"]["red"]["compared"] == 7
    assert 0 <= proof["largest"] <= 1e-3


def test_the_example_is_what_prediction_and_file_answer(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_run_of(blob_project, tmp_path / "run")
    pose_core.export(run, "traced", tmp_path / "out")
    expected = read(tmp_path / "out" / "example" / "expected.json")
    frame, given = (
        cv2.cvtColor(cv2.imread(str(tmp_path / "out" / "example" / name)), cv2.COLOR_BGR2RGB)
        for name in ("frame.png", "input.png")
    )
    (found,) = pose_core.load(run).predict(np.asarray(frame, np.uint8)[None])
    (animal,) = expected["frame"]["animals"]
    np.testing.assert_allclose([p[:2] for p in animal["keypoints"]], found.instances.keypoints[0], atol=1e-3)
    tensor = torch.from_numpy(np.asarray(given, np.uint8))[None]
    keypoints, scores, _ = TracedExporter(ExporterConfig()).open(tmp_path / "out" / "network.traced")(
        [tensor]
    )
    (animal,) = expected["input"]["animals"]
    wanted = torch.cat([keypoints[0, 0], scores[0, 0][:, None]], 1).numpy()
    np.testing.assert_allclose(animal["keypoints"], wanted, atol=1e-3)
    matrix = np.array(expected["frame"]["to_frame"])
    moved = wanted[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    np.testing.assert_allclose(moved, found.instances.keypoints[0], atol=1e-3)


@pytest.mark.parametrize("moved", [0.06, float("nan")])
def test_a_file_that_differs_is_refused_and_leaves_nothing(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path, moved: float
) -> None:
    run = make_run_of(blob_project, tmp_path / "run")
    # The network sees half of the resolution, so this is more in pixels of the image.
    quick.moved = moved / 2
    with pytest.raises(PluginError, match=r"traced: tiny: .*nothing was exported"):
        pose_core.export(run, "traced", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_difference_below_the_limit_is_measured(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    quick.moved = 0.01
    made = pose_core.export(make_run_of(blob_project, tmp_path / "run"), "traced", tmp_path / "out")
    for row in made.proof["keypoints"].values():
        # x and y, at half the resolution.
        assert row["mean"] == pytest.approx(0.02 * 2**0.5, abs=1e-4)


def test_only_an_export_is_replaced_and_only_on_request(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run, out = make_run_of(blob_project, tmp_path / "run"), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files, and is no export"):
        pose_core.export(run, "traced", out, overwrite=True)
    assert list_names(out) == ["mine.txt"]
    (out / "mine.txt").unlink()
    pose_core.export(run, "traced", out)
    (out / "network.old").touch()
    with pytest.raises(ConfigError, match="holds an export; add overwrite=True"):
        pose_core.export(run, "traced", out)
    pose_core.export(run, "traced", out, overwrite=True)
    assert "network.old" not in list_names(out)
    quick.moved = 1.0
    with pytest.raises(PluginError):
        pose_core.export(run, "traced", out, overwrite=True)
    assert "network.traced" in list_names(out), "a failed export takes the one before with it"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_run_without_its_project_is_proven_on_drawn_pictures(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    notes: list[str] = []

    class Notes:
        def note(self, line: str) -> None:
            notes.append(line)

        def progress(self, what: str, done: float, total: float | None) -> None:
            pass

    run = make_run(tmp_path / "run")
    certain = Run.open(run, RunSpec).with_changes([make_settings_layer({"inference.threshold": 1.0})])
    pose_core.export(certain, "traced", tmp_path / "certain", reporter=Notes())
    assert any("no keypoint was compared" in line for line in notes)
    notes.clear()
    made = pose_core.export(run, "traced", tmp_path / "out", reporter=Notes())
    assert not any("no keypoint was compared" in line for line in notes)
    assert made.proof["images"] == made.proof["images"] | {"of": "drawn", "used": 4}
    assert any("drawn pictures" in line for line in notes)
    with pytest.raises(DataError, match="no such folder or file"):
        pose_core.export(
            make_run_of(blob_project, tmp_path / "b"), "traced", tmp_path / "c", data=tmp_path / "gone"
        )


def test_crops_are_proven_around_labelled_animals(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_run_of(blob_project, tmp_path / "run", TOP_DOWN)
    made = pose_core.export(run, "traced", tmp_path / "out")
    (image,) = made.contract["network"]["inputs"]
    assert image["shape"] == [None, 64, 64, 3]
    assert any(sentence.startswith("crops: ") for sentence in made.contract["outside"])
    expected = read(tmp_path / "out" / "example" / "expected.json")
    boxes = np.array(expected["frame"]["boxes"], np.float32)
    frame = np.asarray(cv2.imread(str(tmp_path / "out" / "example" / "frame.png"))[..., ::-1], np.uint8)
    table = tmp_path / "boxes.csv"
    table.write_text("frame,x1,y1,x2,y2\n0," + ",".join(map(str, boxes[0])) + "\n")
    (found,) = pose_core.load(run, boxes=table).predict(np.ascontiguousarray(frame)[None])
    (animal,) = expected["frame"]["animals"]
    np.testing.assert_allclose([p[:2] for p in animal["keypoints"]], found.instances.keypoints[0], atol=1e-3)


def test_what_no_file_can_hold_is_said(quick: type[TracedExporter], tmp_path: Path) -> None:
    spec = spec_of(
        next(m for m in get_catalog().models() if key(m) == ("bottom_up", "unet")),
        model={"preprocess": {"scale": 1.0, "min_box": 16.0}},
    )
    run = Run.create(tmp_path / "run", spec, {})
    torch.manual_seed(0)
    run.save_weights(build_model(spec).state_dict())
    made = pose_core.export(tmp_path / "run", "traced", tmp_path / "out")
    assert made.contract["network"]["decoding"] == "outside"
    assert any(
        "paf/" in sentence and sentence.startswith("decoding") for sentence in made.contract["outside"]
    )
    assert all("undecoded" in put["meaning"] for put in made.contract["network"]["outputs"])


def test_poses_that_are_refined_are_an_input(quick: type[TracedExporter], tmp_path: Path) -> None:
    method, name = "conditional_top_down", "ctd_prenet_unet"
    spec = spec_of(
        next(m for m in get_catalog().models() if key(m) == (method, name)),
        model={"preprocess": {"scale": 1.0, "min_box": 16.0}},
    )
    run = Run.create(tmp_path / "run", spec, {})
    torch.manual_seed(0)
    run.save_weights(build_model(spec).state_dict())
    made = pose_core.export(tmp_path / "run", "traced", tmp_path / "out")
    names = [put["name"] for put in made.contract["network"]["inputs"]]
    assert names == ["image", "initial_keypoints", "initial_scores"]
    assert made.proof["largest"] <= 1e-3


def test_inputs_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"no exporter .*onxx.* did you mean onnx"):
        pose_core.export(run, "onxx", tmp_path / "out")
    with pytest.raises(ConfigError, match="opset"):
        pose_core.export(run, "onnx", tmp_path / "out", settings={"opset": 3})
    with pytest.raises(ConfigError, match="has no snapshots"):
        pose_core.export(run, "onnx", tmp_path / "out", snapshot=3)
    with pytest.raises(RunError, match="no such run folder"):
        pose_core.export(tmp_path / "gone", "onnx", tmp_path / "out")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        pose_core.export(run, "onnx", tmp_path / "run" / "config.yaml")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_exporters_are_listed_and_refusals_are_in_the_words_of_the_command(
    pose: PoseCommand, tmp_path: Path
) -> None:
    done = pose("exporters", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["torch"]["plugin"] == "core"
    assert rows["onnx"]["plugin"] == "onnxruntime"
    run = make_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "contract.json").write_text("{}")
    line = pose.refuses("export", run, "--to", "onnx", "--out", tmp_path / "out")
    assert "--overwrite" in line
    assert "there are onnx, openvino, torch" in pose.refuses(
        "export", run, "--to", "coreml", "--out", tmp_path / "new"
    )


@pytest.mark.long
def test_the_command_exports_a_program_of_torch_without_pickles(
    pose: PoseCommand, tmp_path: Path, blob_project: Path
) -> None:
    run = make_run_of(blob_project, tmp_path / "run", TOP_DOWN)
    done = pose("export", run, "--to", "torch", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["proof"]["largest"] <= 0.05
    assert answer["contract"]["exporter"] == "core/torch"
    assert "not in the file: tracking" in done.stderr or answer["contract"]["outside"]
    file = tmp_path / "out" / "network.pt2"
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    # The first two bytes of a pickle of protocol 2 and later, and of a file of torch.save.
    assert not [name for name, data in content.items() if re.match(rb"\x80[\x02-\x05]|PK", data)]
    assert not [name for name, data in content.items() if str(Path.cwd()).encode() in data]
    again = pose("export", run, "--to", "torch", "--out", tmp_path / "out")
    assert again.returncode == 2


@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("a/data/sample_inputs/model.pt", b"\x80\x02."),
        ("a/data/constants/opaque_obj_0", b"\x80\x02."),
        ("a/data/weights/model_weights_config.json", b'{"config": {"w": {"use_pickle": true}}}'),
        ("a/data/weights/model.pt", b"\x80\x02."),
    ],
)
def test_files_that_torch_would_unpickle_are_not_opened(tmp_path: Path, member: str, data: bytes) -> None:
    path = tmp_path / "network.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)
    with pytest.raises(DataError, match=r"may run code|holds pickles"):
        TorchExporter(ExporterConfig()).open(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be opened as a program of torch"):
        refuse_pickles(path)


def check_family(exporter_name: str, method: str, name: str, folder: Path) -> None:
    """The file gives what the network gives, of one image and of three, of another size where it may be."""
    spec = spec_of(next(m for m in get_catalog().models() if key(m) == (method, name)))
    network = ExportedNetwork(build_calibrated(spec)).eval()
    exporter, _ = make_exporter({"type": exporter_name})
    height, width = network.choose_size()
    multiple = network.model.size_multiple
    context = ExporterContext(
        network, network.inputs, network.outputs, network.make_example(height, width),
        spec.model.preprocess.size is not None, multiple, name,
    )  # fmt: skip
    path = folder / f"network{exporter.suffix}"
    written = exporter.write(context, path)
    run = exporter.open(path)
    fixed = written.fixed_size or not takes_any_size(network, run, height, width)
    # Windows of attention are larger than small maps, and are then not shifted.
    assert not fixed or spec.model.preprocess.size is not None or "swin" in name
    for images, more in ((1, 0), (3, 0 if fixed else multiple)):
        tensors = network.make_example(height + more, width + 2 * more, images)
        with torch.inference_mode():
            wanted = dict(zip(network.outputs, network(*tensors), strict=True))
        found = dict(zip(network.outputs, run(tensors), strict=True))
        for output, should in wanted.items():
            off = (found[output] - should).abs()
            if output == "keypoints":
                # Flat maps of random weights have their maximum anywhere, with score 0.
                certain = wanted["keypoint_scores"] > 0
                assert torch.equal(found[output].isnan(), should.isnan())
                assert not (off.nan_to_num()[certain] > 0.05).any(), images
            else:
                assert float(off.max()) <= 1e-4 * max(float(should.abs().max()), 1.0), (output, images)


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["onnx", "openvino"])
@pytest.mark.parametrize(("method", "name"), SMALLEST)
def test_every_family_exports(exporter: str, method: str, name: str, tmp_path: Path) -> None:
    check_family(exporter, method, name, tmp_path)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("single_animal", "unet"),
        ("single_animal", "resnet_18"),
        # Of one size: at another one, maps of cspnext_s with random weights have maxima that are as high in two cells.
        ("top_down", "rtmpose_s"),
        ("conditional_top_down", "ctd_prenet_unet"),
    ],
)
def test_small_networks_export_to_openvino(method: str, name: str, tmp_path: Path) -> None:
    check_family("openvino", method, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "name"), [("single_animal", "unet"), ("top_down", "rtmpose_s"), ("bottom_up", "dekr_w18")]
)
def test_families_export_to_torch(method: str, name: str, tmp_path: Path) -> None:
    check_family("torch", method, name, tmp_path)


def test_a_file_that_is_right_for_one_size_is_found_out(tmp_path: Path) -> None:
    network = ExportedNetwork(Run.open(make_run(tmp_path / "run"), RunSpec).load_model()).eval()

    def compute(tensors: Any, flip: bool) -> Any:
        with torch.inference_mode():
            return network(*(each.flip(1) if flip else each for each in tensors))

    def refuse(tensors: Any) -> Any:
        raise RuntimeError("Got invalid dimensions for input: image")

    assert takes_any_size(network, lambda tensors: compute(tensors, False), 128, 160)
    for sides in ((64, 80), (136, 176), (256, 320)):
        wrong = lambda tensors, sides=sides: compute(tensors, tensors[0].shape[1:3] == sides)  # noqa: E731
        assert not takes_any_size(network, wrong, 128, 160), sides
    assert not takes_any_size(network, refuse, 128, 160)


def test_where_a_keypoint_without_a_score_lies_decides_nothing() -> None:
    names = ("keypoints", "keypoint_scores", "scores")
    places, scores = torch.rand(2, 1, 3, 2) * 50, torch.tensor([0.0, 0.0, 0.9]).expand(2, 1, 3)
    wanted = (places, scores, torch.ones(2, 1))
    for moved, differs in (((8.0, 8.0, 0.0), False), ((0.0, 0.0, 8.0), True)):
        found = (places + torch.tensor(moved)[:, None], scores, torch.ones(2, 1))
        assert differ_in_outputs(names, found, wanted) is differs
    assert differ_in_outputs(names, (places, scores + 0.01, torch.ones(2, 1)), wanted)
    assert differ_in_outputs(names, (places[:1], scores, torch.ones(2, 1)), wanted)
