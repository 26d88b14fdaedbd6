"""Models in DeepLabCut's format, of random weights, become runs; what cannot become one is refused in a
line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from deeplabcut_models import (
    Model,
    description,
    detector_description,
    detector_network,
    models_with_parts_of,
    save_detector,
    weights,
)
from torch import nn

from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import DataError, RunError
from pose_core.evaluation.run import evaluate
from pose_core.prediction.estimator import load
from pose_core.runs.importing import import_model
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(tmp_path / "train", description())


@pytest.fixture
def hollow(tmp_path: Path) -> Model:
    """A model with hardly any weights, where only the files around them matter."""
    return Model(tmp_path / "train", description(), hollow=True)


def test_a_snapshot_becomes_a_run_that_predicts_its_numbers(model: Model, tmp_path: Path) -> None:
    imported = import_model("deeplabcut", str(model.snapshot), str(tmp_path / "run"))
    run = Run.open(tmp_path / "run")
    assert run.metrics()["weights_sha256"]
    assert run.spec.model.method == "single_animal"
    assert run.spec.model.name == "resnet/resnet_18"
    assert run.provenance["split"] == {"train": [], "validation": [], "test": []}
    assert run.provenance["imported"]["epoch"] == 100
    # A metric that is not finite has no place in JSON.
    assert run.provenance["imported"]["metrics"] == {"metrics/test.rmse": 2.5}
    assert imported.parameters == sum(
        v.numel() for k, v in model.weights.items() if "running_" not in k and "num_batches" not in k
    )

    image = np.random.default_rng(3).integers(0, 256, (64, 96, 3), np.uint8)
    (frame,) = load(run.path, "cpu").predict(image[None])
    x, y, score = decoded(model.weights, image, "bodypart")
    np.testing.assert_allclose(frame.instances.keypoints[0], np.stack([x, y], 1), atol=0.01)
    np.testing.assert_allclose(frame.instances.keypoint_scores[0], score, atol=1e-5)


def decoded(state: dict[str, torch.Tensor], image: np.ndarray, slot: str) -> tuple[Any, Any, Any]:
    """What DeepLabCut reports: x = (column + 1/2) stride + 7.2801 locref, the highest cell's value as
    score."""
    network = timm.create_model("resnet18", num_classes=0).eval()
    network.load_state_dict(
        {k.removeprefix("backbone.model."): v for k, v in state.items() if k.startswith("backbone.")}
    )
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    tensor = ((torch.from_numpy(image) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        feature = network.forward_features(tensor)
        heatmap, locref = (
            nn.functional.conv_transpose2d(
                feature,
                state[f"heads.{slot}.{name}.deconv_layers.0.weight"],
                state[f"heads.{slot}.{name}.deconv_layers.0.bias"],
                stride=2,
            )[0]
            for name in ("heatmap_head", "locref_head")
        )
    score, at = heatmap.flatten(1).max(1)
    row, column = at // heatmap.shape[2], at % heatmap.shape[2]
    offsets = torch.stack(
        [locref.view(-1, 2, *heatmap.shape[1:])[k, :, row[k], column[k]] for k in range(len(at))]
    )
    x, y = (column + 0.5) * 16 + 7.2801 * offsets[:, 0], (row + 0.5) * 16 + 7.2801 * offsets[:, 1]
    return x.numpy(), y.numpy(), score.clamp(0, 1).numpy()


def test_unique_body_parts_have_a_head_of_their_own(tmp_path: Path) -> None:
    content = description(unique=1)
    model = Model(tmp_path / "train", content)
    import_model("deeplabcut", model.snapshot, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.spec.skeleton.unique_keypoints == ("corner0",)
    image = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    (frame,) = load(run.path, "cpu").predict(image[None])
    x, y, score = decoded(model.weights, image, "unique_bodypart")
    np.testing.assert_allclose(frame.unique_keypoints, np.stack([x, y], 1), atol=0.01)
    np.testing.assert_allclose(frame.unique_scores, score, atol=1e-5)


def test_a_top_down_model_keeps_its_crop_and_margin(tmp_path: Path) -> None:
    model = Model(tmp_path / "train", description(top_down=True))
    found = model.read()
    spec = found.network.spec["model"]
    assert spec["method"] == "top_down"
    assert spec["name"] == "top_down_resnet_18"
    assert spec["preprocess"]["size"] == [64, 96]
    assert spec["preprocess"]["half_pixel"] is False
    assert (spec["preprocess"]["margin"], spec["preprocess"]["margin_pixels"]) == (0.0, 20.0)
    assert spec["heads"]["keypoints"]["deconv_layers"] == 0
    assert spec["heads"]["keypoints"]["grid_offset"] == 16.0
    assert any("no detector" in note for note in found.notes)
    run = import_model("deeplabcut", model.snapshot, tmp_path / "run").run
    outputs = run.load_model()(torch.zeros(1, 3, 64, 96))
    assert outputs["keypoints"]["heatmap"].shape == (1, 2, 2, 3)


def test_an_exported_model_needs_no_other_file(tmp_path: Path) -> None:
    content = description()
    path = tmp_path / "exported.pt"
    torch.save({"config": content, "pose": weights(content)}, path)
    run = import_model("deeplabcut", path, tmp_path / "run").run
    assert run.spec.skeleton.keypoints == ("nose", "tail")


def test_the_command(model: Model, pose: Any) -> None:
    out = pose.folder / "run"
    process = pose("import", "deeplabcut", model.snapshot, "--out", out)
    assert process.returncode == 0, process.stderr
    assert "next: pose predict" in process.stdout
    assert "resnet/resnet_18" in process.stderr
    assert "--data PROJECT" in process.stderr
    assert "already holds a run" in pose.refuses("import", "deeplabcut", model.snapshot, "--out", out)
    assert "no importer 'sleep'" in pose.refuses(
        "import", "sleep", model.snapshot, "--out", pose.folder / "other"
    )
    message = pose.refuses(
        "import", "deeplabcut", model.snapshot, "--out", pose.folder / "b", "--set", "as_traned=1"
    )
    assert "as_traned" in message


def project(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "Task": "maze",
        "scorer": "Ada",
        "date": "Jan1",
        "multianimalproject": False,
        "bodyparts": ["nose", "tail"],
        "skeleton": [["nose", "tail"]],
        **changes,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_the_project_is_found_above_the_snapshot(tmp_path: Path) -> None:
    root = project(tmp_path / "maze")
    model = Model(
        root / "dlc-models-pytorch" / "iteration-0" / "mazeJan1-trainset95shuffle1" / "train",
        description(),
        hollow=True,
    )
    spec = model.read().network.spec
    assert spec["data"]["source"] == str(root)
    assert [tuple(edge) for edge in spec["skeleton"]["edges"]] == [("nose", "tail")]
    assert spec["metadata"]["deeplabcut.scorer"] == "Ada"


def test_the_project_can_be_named_and_may_have_changed(hollow: Model, tmp_path: Path) -> None:
    root = project(
        tmp_path / "moved", bodyparts=["nose", "tail", "ear"], skeleton=[["nose", "ear"], ["nose", "tail"]]
    )
    found = hollow.read(data=root)
    assert found.network.spec["data"]["source"] == str(root)
    assert list(found.network.spec["skeleton"]["keypoints"]) == ["nose", "tail"]
    assert [tuple(edge) for edge in found.network.spec["skeleton"]["edges"]] == [("nose", "tail")]
    assert any("other body parts" in note for note in found.notes)
    assert "no such file or folder" in hollow.refused(data=tmp_path / "nowhere")


def test_weights_that_are_left_over_are_listed(model: Model, tmp_path: Path) -> None:
    model.weights |= {f"heads.bodypart.paf_head.deconv_layers.{i}.weight": torch.zeros(1) for i in range(7)}
    model.save()
    message = model.refused()
    assert "7 of its" in message
    assert message.count("paf_head") == 5
    assert "and 2 more" in message
    assert not (tmp_path / "run").exists()


def test_weights_that_are_missing_are_listed_and_nothing_is_written(model: Model, tmp_path: Path) -> None:
    for name in [n for n in model.weights if n.startswith("backbone.model.layer1.0")]:
        del model.weights[name]
    model.save()
    with pytest.raises(RunError, match=r"missing backbone\.model\.layer1\.0.* and 7 more") as caught:
        import_model("deeplabcut", model.snapshot, tmp_path / "run")
    assert str(model.snapshot) in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_shape_are_refused(model: Model, tmp_path: Path) -> None:
    model.weights["heads.bodypart.heatmap_head.deconv_layers.0.bias"] = torch.zeros(3)
    model.save()
    with pytest.raises(
        RunError, match=r"heatmap_head\.deconv_layers\.0\.bias is \(3,\), the model has \(2,\)"
    ):
        import_model("deeplabcut", model.snapshot, tmp_path / "run")


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_snapshot_that_would_run_code_is_refused(hollow: Model, tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "ran"
    content = {"model": hollow.weights, "metadata": _Bomb(mark)}
    torch.save(content, hollow.snapshot, _use_new_zipfile_serialization=zipped)
    message = hollow.refused()
    assert not mark.exists()
    assert "opening that could run code" in message


@pytest.mark.parametrize("content", [b"", b"not a snapshot", b"PK\x03\x04" + bytes(100), b"\x80\x02]q\x00."])
def test_other_files_are_refused(hollow: Model, content: bytes) -> None:
    hollow.snapshot.write_bytes(content)
    assert str(hollow.snapshot) in hollow.refused()


def test_a_damaged_snapshot_is_refused(hollow: Model) -> None:
    content = hollow.snapshot.read_bytes()
    hollow.snapshot.write_bytes(content[: len(content) // 2])
    assert "damaged" in hollow.refused()


def test_a_file_that_is_no_model_is_refused(hollow: Model) -> None:
    torch.save({"weights": hollow.weights}, hollow.snapshot)
    assert "is not a model of DeepLabCut 3" in hollow.refused()
    torch.save({"model": {"a": 1}}, hollow.snapshot)
    assert "holds no weights by name" in hollow.refused()
    hollow.snapshot.unlink()
    assert "no such file" in hollow.refused()


def test_the_snapshot_of_a_detector_is_not_that_of_a_pose_network(hollow: Model) -> None:
    torch.save({"model": {"model.backbone.x": torch.zeros(1)}}, hollow.snapshot)
    assert "name it with detector" in hollow.refused()


def test_a_detector_belongs_to_top_down_models(model: Model, tmp_path: Path) -> None:
    assert "leave out detector" in model.refused(detector=model.snapshot)
    other = Model(tmp_path / "other", description(top_down=True), hollow=True)
    assert "not the snapshot of a detector" in other.refused(detector=other.snapshot)


def test_a_missing_configuration_is_named(hollow: Model, tmp_path: Path) -> None:
    elsewhere = hollow.config.rename(tmp_path / "kept.yaml")
    assert "has no pytorch_config.yaml beside it" in hollow.refused()
    assert hollow.read(config=elsewhere).network.spec["model"]["name"] == "resnet_18"
    assert "no such file" in hollow.refused(config=tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (
            ("model", "heads", "bodypart", "type"),
            "NoSuchHead",
            "is a NoSuchHead, which no installed plugin takes over",
        ),
        (
            ("model", "backbone", "type"),
            "Mamba",
            "model.backbone: is a Mamba, which no installed plugin takes over",
        ),
        (("model", "backbone", "type"), None, "model.backbone.type: missing"),
        (("model", "neck"), {"type": "Unknown"}, "deeplabcut/neck Unknown"),
        (("model", "heads"), {}, "model.heads: has no heads"),
        (
            ("model", "heads", "bodypart", "heatmap_config", "strides"),
            [4],
            "heatmap_config: transposed convolutions",
        ),
        (("model", "heads", "bodypart", "predictor", "type"), "Other", "predictor: Other cannot be imported"),
        (
            ("model", "heads", "bodypart", "predictor"),
            None,
            "model.heads.bodypart: is not as DeepLabCut 3.0.2 writes it",
        ),
        (("model",), None, "model: missing"),
        (("metadata", "bodyparts"), [], "metadata.bodyparts: is empty"),
        (("metadata", "bodyparts"), "nose", "metadata.bodyparts: must be a list of names"),
        (("metadata", "bodyparts"), ["nose", "nose"], "metadata.bodyparts: has a name twice"),
        (("method",), "xyz", "models of method 'xyz' cannot be imported"),
        (("data", "colormode"), "BGR", "data.colormode: must be RGB"),
        (("data", "inference", "resize"), {"width": 9}, "data.inference.resize: changes images"),
        (
            ("data", "inference", "scale_to_unit_range"),
            True,
            "scale_to_unit_range: cannot be imported together",
        ),
    ],
)
def test_descriptions_that_cannot_be_taken_over(
    hollow: Model, keys: tuple[str, ...], value: Any, message: str
) -> None:
    inner = hollow.content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    hollow.save()
    found = hollow.refused()
    assert message in found
    assert str(hollow.config) in found


@pytest.mark.parametrize("text", ["[1, 2]", "model: {", "\x00", "just text"])
def test_configurations_that_are_none(hollow: Model, text: str) -> None:
    hollow.config.write_text(text)
    assert re.search("is not (valid YAML|a pytorch_config.yaml)", hollow.refused())


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({"normalize_images": False, "scale_to_unit_range": True}, 0.0, 1.0),
        ({"normalize_images": False}, 0.0, 1 / 255),
    ],
)
def test_other_normalisations_are_kept(
    hollow: Model, settings: dict[str, Any], mean: float, std: float
) -> None:
    hollow.content["data"]["inference"] |= settings
    hollow.save()
    preprocess = hollow.read().network.spec["model"]["preprocess"]
    assert preprocess["mean"] == [mean] * 3
    assert preprocess["std"] == pytest.approx([std] * 3)


FAMILIES = sorted(
    {
        name
        for record in get_catalog().plugins
        if record.name == "deeplabcut"
        for mapping in record.definitions["pose_components"]
        for name in mapping.requires
    }
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_that_is_not_installed_is_named(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = models_with_parts_of(family, tmp_path)
    assert models
    installed = Catalog([record for record in get_catalog().plugins if record.name != family])
    monkeypatch.setattr("pose_core.catalog.get_catalog", lambda: installed)
    for model, options in models:
        detector = {"detector": Path(options[1])} if options else {}
        message = model.refused(**detector)
        assert (
            f"it needs pose-{family}, which is not installed: in a clone of pose_core, pip install ./plugins/{family}"
            in message
        )
        assert f"is a {model.folder.name}, which cannot be taken over" in message


@pytest.mark.long
def test_an_imported_run_is_evaluated_and_trained_on(blob_project: Path, tmp_path: Path, pose: Any) -> None:
    content = description()
    content["metadata"]["bodyparts"] = ["red", "green"]
    model = Model(tmp_path / "train", content)
    run = import_model("deeplabcut", model.snapshot, tmp_path / "run", data=blob_project).run
    assert run.spec.data.source == str(blob_project)
    result = evaluate(run, "all", device="cpu")
    assert result.counts.images == 32
    assert result.error.mean.value is not None
    with pytest.raises(DataError, match="does not know which images it was trained on; split=all"):
        evaluate(run, "test", device="cpu")

    process = pose(
        *("train", blob_project, "--weights", run.path, "--out", tmp_path / "more", "--epochs", "1"),
        *("--device", "cpu", "--set", "data.split.test=0.6", "--set", "augmentation.crop.size=null"),
    )
    assert process.returncode == 0, process.stderr
    more = Run.open(tmp_path / "more")
    assert more.spec.model.heads == run.spec.model.heads
    before, after = (r.load_model().state_dict() for r in (run, more))
    moved = [k for k, v in before.items() if v.dtype == torch.float32 and not torch.equal(v, after[k])]
    assert moved
    # One epoch from these weights stays near them.
    name = "backbone.model.layer4.0.conv1.weight"
    assert torch.nn.functional.cosine_similarity(before[name].flatten(), after[name].flatten(), dim=0) > 0.9


def test_a_detector_becomes_a_run_within_the_run(tmp_path: Path) -> None:
    content = description(top_down=True)
    content["detector"] = detector_description()
    model = Model(tmp_path / "train", content)
    network = detector_network()
    snapshot = save_detector(model.folder, network)
    run = import_model("deeplabcut", model.snapshot, tmp_path / "run", detector=snapshot).run
    detector = run.stages["detector"]
    assert detector is not None
    # Boxes were learnt with a margin, which comes back in the crop.
    assert detector.spec.network.excess == 20.0
    assert run.spec.model.preprocess.margin_pixels == 20.0
    loaded = {k.removeprefix("network."): v for k, v in detector.load_model().state_dict().items()}
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(loaded[f"model.{name}"], value, rtol=0, atol=0)
    (frame,) = load(run.path, "cpu").predict(np.zeros((1, 64, 96, 3), np.uint8))
    assert frame.instances.keypoints.shape[1:] == (2, 2)

    # With its description it becomes a run of its own, too.
    alone = import_model("deeplabcut", snapshot, tmp_path / "alone", config=model.config).run
    assert isinstance(alone.spec, DetectorRunSpec)
    torch.testing.assert_close(
        dict(alone.load_model().state_dict()), dict(detector.load_model().state_dict()), rtol=0, atol=0
    )

    content["detector"]["data"]["inference"]["normalize_images"] = False
    model.save()
    assert "detector.data.inference.normalize_images: must be true" in model.refused(detector=snapshot)
    content["detector"] = None
    model.save()
    assert "detector: missing" in model.refused(detector=snapshot)


def test_an_imported_model_keeps_what_its_project_crops(model: Model, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "Task: t\nscorer: me\ndate: d\nbodyparts: [nose, tail]\ncropping: true\nx1: 0\nx2: 96\ny1: 8\ny2: 64\n"
        "video_sets: {two.avi: {crop: '0, 9, 0, 8'}}\n"
    )
    imported = import_model("deeplabcut", model.snapshot, tmp_path / "run", data=tmp_path)
    assert imported.run.spec.data.crop == (0, 96, 8, 64)
    assert imported.run.spec.data.video_crops == {"two.avi": (0, 9, 0, 8)}
    (note,) = [note for note in imported.notes if "crops videos" in note]
    assert note in Run.open(tmp_path / "run").provenance["notes"]
