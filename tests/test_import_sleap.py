"""``pose import sleap``: models whose names, shapes and outputs are those of sleap-nn 0.3.5."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from keras_models import EDGES, NODES, KerasModel
from sleap_models import MADE, cases, make_config, make_weights, models, write_folder
from slp_projects import Animal, SlpProject, image_video
from typer.testing import CliRunner, Result

from pose_core import import_model
from pose_core.cli.main import app
from pose_core.errors import RunError
from pose_core.evaluation.run import evaluate
from pose_core.runs.importing import import_training
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec

ROOT = Path(__file__).resolve().parent.parent


def run_command(arguments: list[str]) -> Result:
    """Run a command of ``pose``."""
    return CliRunner().invoke(app, arguments)


def take_over(folder: Path, out: Path, **options: Any) -> RunSpec:
    """Import a model and return the spec of its run, as it is read back."""
    import_model(options.pop("importer", "sleap"), folder, out, **options)
    return Run.open(out, RunSpec).spec


QUICK = {"convnext, single_instance", "swint, multi_class_topdown"}


@pytest.mark.parametrize(
    "name",
    [
        name if name.startswith("unet") or name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in models.MODELS
    ],
)
def test_outputs_are_sleaps(name: str, tmp_path: Path) -> None:
    spec = take_over(write_folder(tmp_path / "model", name), tmp_path / "run")
    model = Run.open(tmp_path / "run", RunSpec).load_model()
    image = (cases.image() * 255).round().to(torch.uint8)
    if make_config(name)["model_config"]["backbone_config"].popitem()[1]["in_channels"] == 1:
        image = image[:, :1].expand(-1, 3, -1, -1)
    with torch.no_grad():
        outputs = [each for head in model(model.normalise(image)).values() for each in head.items()]
    assert spec.skeleton.keypoints == tuple(models.NODES)
    assert len(outputs) == len(MADE[name]["summaries"])
    for (key, output), wanted in zip(outputs, MADE[name]["summaries"], strict=True):
        if key == "identity":
            output = output.sigmoid() if output.ndim == 4 else output.softmax(-1)
        found = torch.tensor(cases.summarize(output))
        torch.testing.assert_close(found, torch.tensor(wanted), rtol=0, atol=1e-4 * wanted[2])


def test_each_type_is_a_method(tmp_path: Path) -> None:
    methods = {}
    for name in models.TYPES:
        spec = take_over(write_folder(tmp_path / name, f"unet, {name}"), tmp_path / f"run {name}")
        methods[name] = spec.model.method
        assert spec.inference.threshold == 0.2
        assert spec.model.preprocess.mean == (0, 0, 0)
        assert spec.model.preprocess.std == (1, 1, 1)
    assert methods == {
        "single_instance": "single_animal",
        "centroid": "centroid",
        "centered_instance": "top_down",
        "bottomup": "bottom_up",
        "multi_class_bottomup": "bottom_up",
        "multi_class_topdown": "top_down",
    }


def test_identities_keep_their_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "unet, multi_class_bottomup")
    made = import_model("sleap", folder, tmp_path / "run")
    skeleton = made.run.spec.skeleton
    assert skeleton.individuals == tuple(models.CLASSES)
    assert skeleton.identified
    assert any("Ada, Bea, Cleo" in note for note in made.notes)
    # Targets of sleap-nn up to 0.3.5 are right for two only.
    assert any("taught wrongly" in note for note in made.notes)


@pytest.mark.parametrize("turned", [False, True])
def test_centroid_model_in_either_order(tmp_path: Path, turned: bool) -> None:
    pose = write_folder(tmp_path / "pose", "unet, centered_instance")
    centroid = write_folder(tmp_path / "centroid", "unet, centroid")
    first, second = (centroid, pose) if turned else (pose, centroid)
    spec = take_over(first, tmp_path / "run", detector=second)
    assert spec.model.method == "top_down"
    assert list(spec.stages) == ["centroid"]
    stage = Run.open(tmp_path / "run" / "stages" / "centroid", RunSpec).spec
    assert stage.model.method == "centroid"
    assert stage.model.preprocess.centre == spec.model.preprocess.centre == "nose"


def test_predicts_top_down(tmp_path: Path) -> None:
    """The run is one like every other: it finds animals by itself, in the frame's pixels."""
    import pose_core

    pose = write_folder(tmp_path / "pose", "unet, centered_instance")
    centroid = write_folder(tmp_path / "centroid", "unet, centroid")
    import_model("sleap", pose, tmp_path / "run", detector=centroid)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (96, 128, 3), np.uint8)
    (frame,) = pose_core.load(tmp_path / "run").predict([image])
    assert len(frame.instances) > 0
    points = frame.instances.keypoints[np.isfinite(frame.instances.keypoints).all(-1)]
    assert len(points) > 0
    assert (points > -40).all()
    assert (points < 168).all()


def test_scale_is_without_the_half_pixel(tmp_path: Path) -> None:
    spec = take_over(write_folder(tmp_path / "model", "unet, transposed, scale 0.5"), tmp_path / "run")
    assert spec.model.preprocess.scale == 0.5
    assert not spec.model.preprocess.half_pixel


def test_crops_are_as_large_as_there(tmp_path: Path) -> None:
    config = make_config("unet, centered_instance")
    config["data_config"]["preprocessing"] |= {"scale": 0.5, "crop_size": 128}
    folder = write_folder(tmp_path / "model", "unet, centered_instance", config)
    preprocess = take_over(folder, tmp_path / "run").model.preprocess
    assert (preprocess.extent, preprocess.size) == (128, (64, 64))
    assert not preprocess.half_pixel


def test_crops_that_the_network_cannot_take_show_more(tmp_path: Path) -> None:
    config = make_config("unet, centered_instance")
    config["data_config"]["preprocessing"]["crop_size"] = 100
    folder = write_folder(tmp_path / "model", "unet, centered_instance", config)
    preprocess = take_over(folder, tmp_path / "run").model.preprocess
    assert (preprocess.extent, preprocess.size) == (112, (112, 112))


@pytest.mark.parametrize(
    ("version", "as_trained", "moved"),
    [("0.3.5", False, True), ("0.3.5", True, False), ("0.0.1", False, False), ("0.1.0", False, True)],
)
def test_shift_of_crops_is_undone(tmp_path: Path, version: str, as_trained: bool, moved: bool) -> None:
    config = make_config("unet, centered_instance", version)
    folder = write_folder(tmp_path / "model", "unet, centered_instance", config)
    importer = {"type": "sleap", "as_trained": as_trained}
    preprocess = take_over(folder, tmp_path / "run", importer=importer).model.preprocess
    assert (preprocess.label_offset, preprocess.label_zoom) == (
        (0.99, pytest.approx(1 + 1.66 / models.CROP)) if moved else (0, 1)
    )


def test_initial_configuration_does_where_it_is_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "training_config.yaml").rename(folder / "initial_config.yaml")
    take_over(folder, tmp_path / "run")


@pytest.fixture
def project(tmp_path: Path) -> SlpProject:
    """Two animals in an image, with the nodes of the models."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "image.png"), rng.integers(0, 255, (96, 128, 3), np.uint8))
    animals = [Animal(rng.uniform(10, 80, (4, 2))) for _ in range(2)]
    return SlpProject(
        nodes=list(models.NODES),
        edges=[(0, 3)],
        pairs=[(1, 2)],
        videos=[image_video(["image.png"])],
        frames=[(0, 0, animals)],
    )


def test_project_is_kept_and_evaluates(project: SlpProject, tmp_path: Path) -> None:
    data = project.write(tmp_path / "project.slp")
    folder = write_folder(tmp_path / "model", "unet, bottomup")
    made = import_model("sleap", folder, tmp_path / "run", data=data)
    skeleton = made.run.spec.skeleton
    assert skeleton.keypoints == tuple(models.NODES)
    assert skeleton.num_individuals == 2
    assert made.run.spec.data.source == str(data)
    assert evaluate(tmp_path / "run", split="all", device="cpu").counts.images == 1


def test_maps_keep_their_order(project: SlpProject, tmp_path: Path) -> None:
    project.nodes.reverse()
    data = project.write(tmp_path / "project.slp")
    folder = write_folder(tmp_path / "model", "unet, bottomup")
    made = import_model("sleap", folder, tmp_path / "run", data=data)
    assert made.run.spec.skeleton.keypoints == tuple(models.NODES)
    assert any("in another order than the project" in note for note in made.notes)


def test_project_of_other_nodes_is_refused(project: SlpProject, tmp_path: Path) -> None:
    project.nodes[0] = "wing"
    data = project.write(tmp_path / "project.slp")
    folder = write_folder(tmp_path / "model", "unet, bottomup")
    with pytest.raises(RunError, match=r"has the nodes wing, ear_l, ear_r, tail, and .* was trained on nose"):
        import_model("sleap", folder, tmp_path / "run", data=data)


def test_keras_model_puts_out_what_keras_does(tmp_path: Path) -> None:
    """With a stem and transposed convolutions, which are others in SLEAP-NN."""
    confmaps = {"part_names": NODES, "sigma": 2.5, "output_stride": 2, "offset_refinement": False}
    fields = {"edges": [list(edge) for edge in EDGES], "sigma": 50.0, "output_stride": 4}
    model = KerasModel(
        {"multi_instance": {"confmaps": confmaps, "pafs": fields}}, {"stem_stride": 2, "max_stride": 16}
    )
    image = np.random.default_rng(1).integers(0, 255, (32, 48, 3), np.uint8)
    wanted = list(model.write(tmp_path / "model", image / 255).values())
    take_over(tmp_path / "model", tmp_path / "run")
    network = Run.open(tmp_path / "run", RunSpec).load_model()
    with torch.no_grad():
        heads = network(network.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))
    found = [output[0].permute(1, 2, 0).numpy() for head in heads.values() for output in head.values()]
    assert len(found) == len(wanted) == 2
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def test_settings_of_a_training_become_a_start(project: SlpProject, tmp_path: Path) -> None:
    data = project.write(tmp_path / "project.slp")
    config = make_config("unet, bottomup")
    config["data_config"] |= {
        "train_labels_path": ["elsewhere.slp"],
        "augmentation_config": {
            "geometric": {"rotation_min": -40.0, "rotation_max": 20.0, "scale_p": 0.0, "flip_p": 0.5},
            "intensity": {"contrast_min": 0.7, "contrast_p": 0.5, "uniform_noise_p": 0.3},
        },
    }
    config["trainer_config"] = {
        "max_epochs": 7,
        "optimizer": {"lr": 0.003, "amsgrad": True},
        "train_data_loader": {"batch_size": 2},
        "early_stopping": {"patience": 4},
        "lr_scheduler": {"cosine_annealing_warmup": {"warmup_epochs": 2}},
        "use_wandb": True,
    }
    theirs = tmp_path / "training_config.yaml"
    theirs.write_text(yaml.safe_dump(config))
    ours = tmp_path / "start.yaml"
    notes = import_training("sleap", theirs, ours, data=data)
    content = yaml.safe_load(ours.read_text())
    assert content["data"]["source"] == str(data)
    assert content["augmentation"]["rotation"] == 40
    assert content["augmentation"]["scale"] == [1, 1]
    transforms = content["augmentation"]["transforms"]
    assert transforms["contrast"]["contrast"] == pytest.approx(0.3)
    assert "brightness" not in transforms
    assert transforms["brightness_contrast"] == {"p": 0.0}
    assert content["train"]["epochs"] == 7
    assert content["train"]["optimizer"] == {"name": "adam", "lr": 0.003}
    # What is not taken over is named.
    assert any("optimizer: not taken over: amsgrad" in note for note in notes)
    assert any("intensity: not taken over: uniform_noise_p" in note for note in notes)
    assert any("use_wandb" in note for note in notes)
    with pytest.raises(RunError, match="exists"):
        import_training("sleap", theirs, ours)
    small = ("--set", "train.epochs=1", "--set", "data.split.test=0", "--set", "train.workers=0")
    ended = run_command(["train", str(data), "--config", str(ours), "--out", str(tmp_path / "run"), *small])
    assert ended.exit_code == 0, ended.output
    assert Run.open(tmp_path / "run", RunSpec).spec.train.optimizer.lr == 0.003


def test_command(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    ended = run_command(["import", "sleap", str(folder), "--out", str(tmp_path / "run")])
    assert ended.exit_code == 0, ended.output
    assert "imported; next: pose predict" in ended.stdout
    theirs = str(folder / "training_config.yaml")
    ended = run_command(["import", "sleap", theirs, "--out", str(tmp_path / "start.yaml")])
    assert ended.exit_code == 0, ended.output
    assert "next: pose train DATA --config" in ended.stdout
    again = ["import", "sleap", theirs, "--out", str(tmp_path / "b.yaml"), "--detector", str(folder)]
    assert "--detector: is for models" in str(run_command(again).exception)


Change = Callable[[dict[str, Any]], None]


def _set(*keys: str, value: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        inner = config
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


UNET = ("model_config", "backbone_config", "unet")
HEAD = ("model_config", "head_configs", "single_instance")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set(*UNET, "stem_stride", value=4), r"unet\.stem_stride: is 4, and such a network fails"),
        (_set(*UNET, "middle_block", value=False), r"unet\.middle_block: is False, and only True"),
        (_set(*UNET, "stacks", value=2), r"unet\.stacks: is 2, and only 1 can be imported"),
        (_set(*UNET, "convs_per_block", value=1), r"unet\.convs_per_block: is 1, and such a network"),
        (_set(*UNET, "attention", value=True), r"unet\.attention: is no key of sleap-nn 0\.3\.5"),
        (_set(*UNET, "filters", value="many"), r"unet\.filters: must be a whole number, not 'many'"),
        (_set(*UNET, "filters", value=7), r"best\.ckpt: does not fit the model: backbone"),
        (_set(*UNET, "max_stride", value=8), "have no place in the network"),
        (
            _set("model_config", "backbone_config", value={"pretrained": {"model_name": "lab/vit"}}),
            r"needs the Hugging Face encoder lab/vit",
        ),
        (_set("model_config", "backbone_config", value={}), r"backbone_config: has none; a model has one"),
        (_set("model_config", "head_configs", value={"embedding": {}}), "tells animals apart by embeddings"),
        (_set("model_config", "head_configs", value={"bbox_ssd": {}}), "finds boxes; train a detector"),
        (_set("model_config", "head_configs", value={"semantic_segmentation": {}}), "segments images"),
        (_set(*HEAD, "confmaps", value=None), r"single_instance\.confmaps: is missing"),
        (_set(*HEAD, "confmaps", "output_stride", value=3), r"output_stride: must be a power of 2"),
        (_set(*HEAD, "confmaps", "part_names", value=["nose", "wing"]), "names wing, and the skeleton has"),
        (_set("data_config", "preprocessing", "scale", value=0), r"preprocessing\.scale: must be above 0"),
        (_set("data_config", "preprocessing", "crop_mode", value="bbox"), r"crop_mode: is 'bbox', and only"),
        (_set("data_config", "preprocessing", "tiling", value={"enabled": True}), "see tiles of frames"),
        (_set("model_config", value=None), "model_config"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_line(tmp_path: Path, change: Change, reason: str) -> None:
    config = make_config("unet, single_instance")
    change(config)
    folder = write_folder(tmp_path / "model", "unet, single_instance", config)
    with pytest.raises(RunError, match=reason) as error:
        import_model("sleap", folder, tmp_path / "run")
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


class Stranger:
    """An object of a class that no model of SLEAP holds."""


def test_other_objects_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", more={"callbacks": Stranger()})
    with pytest.raises(RunError, match=r"holds an object of .*test_import_sleap\.Stranger"):
        import_model("sleap", folder, tmp_path / "run")


def test_truncated_checkpoint(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    data = (folder / "best.ckpt").read_bytes()
    (folder / "best.ckpt").write_bytes(data[: len(data) // 2])
    with pytest.raises(RunError, match=r"best\.ckpt: is no checkpoint, or is damaged"):
        import_model("sleap", folder, tmp_path / "run")


def test_missing_weights_are_listed(tmp_path: Path) -> None:
    weights = make_weights("unet, single_instance")
    del weights["model.head_layers.0.SingleInstanceConfmapsHead.0.bias"]
    folder = write_folder(tmp_path / "model", weights=weights)
    with pytest.raises(RunError, match=r"missing heads\.keypoints\.heatmap_head\.final_conv\.bias"):
        import_model("sleap", folder, tmp_path / "run")


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("unet, centroid", "unet, centroid", "are both of type centroid"),
        ("unet, centered_instance", "unet, centered_instance", "are both of type centered_instance"),
        ("unet, centered_instance", "unet, bottomup", "no centroid model"),
        ("unet, bottomup", "unet, centroid", "looks at whole frames and needs no centroid model"),
    ],
)
def test_folders_that_do_not_belong_together(tmp_path: Path, first: str, second: str, reason: str) -> None:
    folders = [write_folder(tmp_path / str(i), name) for i, name in enumerate((first, second))]
    with pytest.raises(RunError, match=reason):
        import_model("sleap", folders[0], tmp_path / "run", detector=folders[1])


def test_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file or folder"):
        import_model("sleap", tmp_path / "nothing", tmp_path / "run")
    with pytest.raises(RunError, match=r"has no training_config\.yaml or initial_config\.yaml"):
        import_model("sleap", tmp_path, tmp_path / "run")


def test_fields_keep_their_edges_and_width(tmp_path: Path) -> None:
    spec = take_over(write_folder(tmp_path / "model", "unet, bottomup"), tmp_path / "run")
    head = spec.model.heads["limbs"].model_dump()
    assert [list(edge) for edge in head["graph"]] == models.EDGES
    assert head["target_generator"]["width"] == pytest.approx(math.sqrt(15))


@pytest.mark.long
def test_the_comparison_of_parity_sees_a_difference(tmp_path: Path) -> None:
    """``parity/sleap_models.py`` on a model whose answer is right, and then wrong."""
    folder = write_folder(tmp_path / "models" / "model00", "unet, centered_instance")
    answer = {"name": "unet, centered_instance", "channels": 3, "parameters": 1}
    take_over(folder, tmp_path / "run")
    model = Run.open(tmp_path / "run", RunSpec).load_model()
    with torch.no_grad():
        outputs = model(model.normalise((cases.image() * 255).round().to(torch.uint8)))
    values = outputs["keypoints"]["heatmap"]
    page = tmp_path / "page.md"
    for added, code in ((0.0, 0), (0.1, 1)):
        page.write_text("before\n<!-- sleap -->\n<!-- end -->\nafter\n")
        answer["outputs"] = [(values + added).tolist()]
        (folder / "answer.json").write_text(json.dumps(answer))
        command = ["parity/sleap_models.py", "--folder", str(folder.parent), "--report", str(page)]
        ended = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == code, ended.stderr
        assert ("**differs**" in page.read_text()) == bool(code)
        assert page.read_text().endswith("<!-- end -->\nafter\n")
