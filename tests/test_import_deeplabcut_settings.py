"""Settings of a training of DeepLabCut become a configuration here; each key is taken over or named."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from deeplabcut_models import description
from deeplabcut_shuffles import make_project, make_shuffle
from pose_deeplabcut.config import ModelImporterConfig
from pose_deeplabcut.importer import ModelImporter
from pose_deeplabcut.learning_rates import make_optimizer, make_schedule
from pose_deeplabcut.model_config import Section
from pose_deeplabcut.training_keys import SECTIONS, keys_table
from typer.testing import CliRunner, Result

from pose_core.cli.main import app
from pose_core.errors import RunError
from pose_core.interfaces import ImportedTraining
from pose_core.runs.importing import import_training
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec

# The numbers are as YAML 1.1 reads what DeepLabCut writes: 1e-05 without a dot is text.
_RATES = {"type": "LRListScheduler", "params": {"milestones": [90, 120], "lr_list": [["1e-05"], ["1e-06"]]}}


def settings(*, top_down: bool = False) -> dict[str, Any]:
    """pytorch_config.yaml of a whole training, with all sections."""
    content = description(top_down=top_down)
    crop: dict[str, Any] = (
        {"top_down_crop": {"width": 96, "height": 64}}
        if top_down
        else {"crop_sampling": {"width": 448, "height": 320, "max_shift": 0.1, "method": "hybrid"}}
    )
    content["data"]["train"] = {
        "affine": {"p": 0.5, "rotation": 30, "scaling": [0.5, 1.25], "translation": 0},
        **crop,
        "hflip": None,
        "hist_eq": True,
        "motion_blur": True,
        "covering": True,
        "elastic_transform": True,
        "grayscale": True,
        "gaussian_noise": 12.75,
        "normalize_images": True,
        "scale_to_unit_range": False,
        "longest_max_size": None,
        "collate": None,
    }
    content |= {
        "device": "auto",
        "runner": {
            "device": "auto",
            "gpus": None,
            "key_metric": "test.mAP",
            "eval_interval": 10,
            "optimizer": {"type": "AdamW", "params": {"lr": 0.0001, "betas": [0.9, 0.99]}},
            "scheduler": copy.deepcopy(_RATES),
            "snapshots": {"max_snapshots": 5, "save_epochs": 25, "save_optimizer_state": False},
            "snapshot_prefix": None,
        },
        "train_settings": {
            "batch_size": 8,
            "epochs": 200,
            "seed": 42,
            "dataloader_workers": 0,
            "display_iters": 500,
            "weight_init": {"snapshot_path": None, "with_decoder": False, "memory_replay": False},
        },
        "inference": {"multithreading": {"enabled": True}, "eval": {"pcutoff": 0.6}, "output_dir": None},
        "logger": {
            "type": "WandbLogger",
            "project_name": "mice",
            "run_name": "first",
            "wandb_kwargs": {"tags": ["open field"]},
            "image_log_interval": None,
        },
        "resume_training_from": None,
    }
    return content


def run_command(arguments: list[str]) -> Result:
    """Run a command of ``pose``."""
    return CliRunner().invoke(app, arguments)


def convert(content: dict[str, Any], folder: Path) -> ImportedTraining:
    file = folder / "pytorch_config.yaml"
    file.write_text(yaml.safe_dump(content))
    return ModelImporter(ModelImporterConfig(type="deeplabcut")).read_training(file)


@pytest.mark.parametrize(
    ("metric", "select"), [("test.mAP", "ap"), ("test.rmse", "error"), ("test.mAR", "error")]
)
def test_the_metric_that_selects_is_taken_over_or_noted(tmp_path: Path, metric: str, select: str) -> None:
    content = settings()
    content["runner"]["key_metric"] = metric
    made = convert(content, tmp_path)
    assert made.content["train"]["select"] == select
    noted = [note for note in made.notes if "key_metric" in note]
    assert bool(noted) == (metric == "test.mAR")


def test_each_setting_has_its_place(tmp_path: Path) -> None:
    made = convert(settings(), tmp_path).content
    assert made["train"] == {
        "epochs": 200,
        "batch_size": 8,
        "seed": 42,
        "optimizer": {"name": "adamw", "lr": 1e-4, "weight_decay": 0.01, "options": {"betas": [0.9, 0.99]}},
        "schedule": {"type": "rates", "warmup": 0.0, "epochs": [90, 120], "rates": [1e-5, 1e-6]},
        "gradient_clip": None,
        "ema": None,
        "validate_every": 10,
        "keep": {"every": 25, "most": 5},
        "device": "auto",
        "select": "ap",
        "loggers": [{"type": "wandb", "project": "mice", "name": "first", "tags": ["open field"]}],
    }
    assert made["augmentation"] == {
        "rotation": 30.0,
        "scale": [0.5, 1.25],
        "translation": 0.0,
        "flip": 0.0,
        "crop": {"size": [320, 448], "shift": 0.1, "background": 0.5},
        "p": 0.5,
        "transforms": {
            "brightness_contrast": {"p": 0.0},
            "motion_blur": {"type": "motion_blur", "p": 0.5, "length": 7},
            "noise": {"type": "noise", "p": 0.5, "strength": 0.05},
            "erase": {"type": "erase", "p": 0.5, "size": 0.05, "most": 10},
            "equalize": {"type": "equalize", "p": 0.5, "by_channel": True},
            "elastic": {"type": "elastic", "p": 0.5, "shift": 0.65, "smoothness": 5.0},
            "gray": {"type": "gray", "p": 0.5, "strength": [0.5, 1.0]},
        },
    }
    model = made["model"]
    assert model["backbone"] == {
        "type": "resnet/resnet",
        "depth": 18,
        "norm": "batch",
        "output_stride": 32,
        "freeze_bn": False,
    }
    assert model["heads"]["keypoints"]["type"] == "heatmap/heatmap"
    assert made["data"] == {"reader": {"type": "deeplabcut"}}


def _leaves(content: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _leaves(value, (*at, key))
    else:
        yield at, content


def _another(value: Any) -> Any:
    """A value of the same kind; what is off becomes a section that nobody knows."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value / 2 if 0 < value < 1 else value + 1
    if isinstance(value, str):
        return f"{value}x"
    return [*value, "odd"] if isinstance(value, list) else {"odd": 1}


# What says nothing of how a network is trained, or follows from what else the file says.
_WITHOUT_EFFECT = {
    ("net_type",),
    ("data", "inference", "auto_padding"),
    *(("model", key) for key in ("backbone_output_channels",)),
}


@pytest.mark.parametrize("top_down", [False, True])
def test_no_key_passes_in_silence(top_down: bool, tmp_path: Path) -> None:
    """Whatever value of the file is another, the configuration, the notes or an error are others."""
    content = settings(top_down=top_down)
    plain = convert(content, tmp_path)
    silent = []
    for at, value in _leaves(content):
        if at in _WITHOUT_EFFECT or at[:2] in (("model", "heads"), ("model", "backbone")):
            continue
        changed = copy.deepcopy(content)
        section = changed
        for key in at[:-1]:
            section = section[key]
        section[at[-1]] = _another(value)
        try:
            found = convert(changed, tmp_path)
        except RunError:
            continue
        if (found.content, found.notes) == (plain.content, plain.notes):
            silent.append(".".join(at))
    assert silent == []


def test_a_key_that_nobody_knows_is_named(tmp_path: Path) -> None:
    content = settings()
    content["runner"]["gradient_checkpointing"] = True
    content["train_settings"]["weight_init"]["memory_replay"] = True
    content["runner"]["optimizer"]["kind"] = "new"
    notes = convert(content, tmp_path).notes
    assert "runner: says nothing of a training here: gradient_checkpointing" in notes
    assert "runner.optimizer: says nothing of a training here: kind" in notes
    assert "train_settings.weight_init: not taken over: memory_replay True" in notes


def test_the_table_describes_each_key_once() -> None:
    for section, keys in SECTIONS.items():
        names = [key.name for key in keys]
        assert len(set(names)) == len(names), section
        assert all(bool(key.ours) != bool(key.why) for key in keys), section
    assert keys_table().count("\n") == 1 + sum(map(len, SECTIONS.values())) + len(SECTIONS) - 1


def _schedule(kind: str, lr: float, epochs: int, **params: Any) -> tuple[dict[str, Any], list[str]]:
    content = {"scheduler": {"type": kind, "params": params}}
    return make_schedule(Section(Path("a.yaml"), "runner", content), lr, epochs)


@pytest.mark.parametrize(
    "kind",
    ["Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"],
)
def test_optimisers_have_torchs_defaults(kind: str) -> None:
    made, notes = make_optimizer(Section(Path("a.yaml"), "runner", {"optimizer": {"type": kind}}))
    theirs = getattr(torch.optim, kind)([torch.nn.Parameter(torch.zeros(1))]).defaults
    options = made.pop("options", {})
    assert made == {"name": kind.lower(), "lr": theirs["lr"], "weight_decay": theirs.get("weight_decay", 0.0)}
    assert options == {key: theirs[key] for key in options}
    assert notes == []


def test_how_torch_computes_and_where_wandb_writes_is_named(tmp_path: Path) -> None:
    content = settings()
    content["runner"]["optimizer"] = {
        "type": "SGD",
        "params": {"lr": "1e-02", "momentum": 0.9, "fused": True},
    }
    content["logger"]["wandb_kwargs"] |= {"dir": "elsewhere", "mode": "offline"}
    made = convert(content, tmp_path)
    assert made.content["train"]["optimizer"] == {
        "name": "sgd",
        "lr": 0.01,
        "weight_decay": 0.0,
        "options": {"momentum": 0.9, "nesterov": False},
    }
    assert made.content["train"]["loggers"][0]["mode"] == "offline"
    assert "runner.optimizer.params: not taken over: fused True" in made.notes
    assert "logger.wandb_kwargs: not taken over: dir elsewhere" in made.notes


def test_schedules_of_torch() -> None:
    assert _schedule("MultiStepLR", 0.1, 50, milestones=[20, 40], gamma=0.5)[0] == {
        "type": "milestones",
        "warmup": 0.0,
        "epochs": [20, 40],
        "factor": 0.5,
    }
    assert _schedule("CosineAnnealingLR", 0.1, 50, T_max=50, eta_min="1e-03")[0] == {
        "type": "cosine",
        "warmup": 0.0,
        "final": 0.01,
    }
    made, notes = _schedule("ReduceLROnPlateau", 0.1, 50, patience=3)
    assert made == {"type": "constant", "warmup": 0.0}
    assert "runner.scheduler: ReduceLROnPlateau is not taken over" in notes[0]


def test_a_chain_of_schedulers_has_torchs_rate_in_each_epoch() -> None:
    lr, epochs = 0.01, 40
    inner: list[dict[str, Any]] = [
        {"type": "LinearLR", "params": {"start_factor": 0.001, "end_factor": 1.0, "total_iters": 5}},
        {"type": "CosineAnnealingLR", "params": {"T_max": 12, "eta_min": 1e-4}},
        {"type": "StepLR", "params": {"step_size": 4, "gamma": 0.5}},
        {"type": "ExponentialLR", "params": {"gamma": 0.9}},
    ]
    starts = [10, 22, 34]
    made, _ = _schedule("SequentialLR", lr, epochs, schedulers=inner, milestones=starts)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [getattr(torch.optim.lr_scheduler, each["type"])(optimizer, **each["params"]) for each in inner],
        starts,
    )
    rate = lr
    for epoch in range(epochs):
        if epoch in made["epochs"]:
            rate = made["rates"][made["epochs"].index(epoch)]
        assert math.isclose(rate, optimizer.param_groups[0]["lr"], rel_tol=1e-5), epoch
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (
            ("runner", "optimizer", "params", "lr"),
            "fast",
            "runner.optimizer.params.lr: must be a number, not 'fast'",
        ),
        (("train_settings", "epochs"), 0, "train_settings.epochs: must be a whole number above 0, not 0"),
        (
            ("runner", "scheduler", "params", "lr_list"),
            [[1e-5]],
            "lr_list: must hold a list of one learning rate",
        ),
        (
            ("data", "train", "affine", "scaling"),
            [2, 1],
            "must be the smallest and the largest factor, not [2, 1]",
        ),
        (("data", "train", "crop_sampling", "method"), "all", "crop_sampling.method: must be one of uniform"),
        (("logger", "type"), "Aim", "logger.type: Aim cannot be taken over; WandbLogger and CSVLogger can"),
    ],
)
def test_a_wrong_value_is_one_line(at: tuple[str, ...], value: Any, message: str, tmp_path: Path) -> None:
    content = settings()
    section = content
    for key in at[:-1]:
        section = section[key]
    section[at[-1]] = value
    with pytest.raises(RunError) as raised:
        convert(content, tmp_path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_boxes_that_change_are_zoom_and_shift(tmp_path: Path) -> None:
    content = settings(top_down=True)
    content["data"]["train"]["random_bbox_transform"] = {
        "shift_factor": 0.16,
        "shift_prob": 0.3,
        "scale_factor": [0.5, 2.0],
    }
    content["data"]["train"]["affine"]["translation"] = 40
    content["data"]["train"]["hflip"] = 0.3
    made = convert(content, tmp_path)
    augmentation = made.content["augmentation"]
    assert augmentation["scale"] == [0.25, 2.5]
    assert augmentation["translation"] == 0.16
    assert augmentation["flip"] == 0.3
    assert augmentation["crop"] == {"size": None}
    assert any(
        "random_bbox_transform: drawn for each image here, shift for 30% of them" in n for n in made.notes
    )
    assert any("affine.translation: not taken over: 40 pixels" in n for n in made.notes)


def test_sigmas_of_other_keypoints_are_named(tmp_path: Path) -> None:
    """DeepLabCut writes those of 17 keypoints of people into the settings of any project."""
    content = settings()
    content["data"]["gen_sampling"] = {"keypoint_sigmas": [0.079] * 17}
    notes = convert(content, tmp_path).notes
    assert "data.gen_sampling.keypoint_sigmas: not taken over: 17 values for 2 keypoints" in notes


def test_a_configuration_trains(tmp_path: Path) -> None:
    """Of a shuffle within its project, by the command."""
    project = make_project(tmp_path / "project")
    train = make_shuffle(project, [0, 1, 2, 3, 4], [5, 6, 7])
    train.mkdir(parents=True)
    content = settings()
    content["data"]["train"]["crop_sampling"] |= {"width": 64, "height": 64}
    content["logger"] = None
    (train / "pytorch_config.yaml").write_text(yaml.safe_dump(content))
    ours = tmp_path / "start.yaml"
    ended = run_command(["import", "deeplabcut", str(train), "--out", str(ours)])
    assert ended.exit_code == 0, ended.output
    made = yaml.safe_load(ours.read_text())
    assert made["data"]["source"] == str(project)
    assert made["data"]["split"] == {"name": "iteration-0/trainset75shuffle1"}
    small = ("--set", "train.epochs=1", "--set", "train.workers=0", "--weights", "none")
    ended = run_command(
        ["train", str(project), "--config", str(ours), "--out", str(tmp_path / "run"), *small]
    )
    assert ended.exit_code == 0, ended.output
    spec = Run.open(tmp_path / "run", RunSpec).spec
    assert spec.train.optimizer.lr == 1e-4
    assert spec.augmentation.crop.size == (64, 64)


def test_the_function_keeps_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "pytorch_config.yaml"
    file.write_text(yaml.safe_dump(settings()))
    import_training("deeplabcut", file, tmp_path / "start.yaml")
    with pytest.raises(RunError, match="exists"):
        import_training("deeplabcut", file, tmp_path / "start.yaml")
