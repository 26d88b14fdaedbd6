"""Parts of a network in training: frozen ones, learning rates of their own, accumulated gradients."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from pose_core import train
from pose_core.errors import ConfigError
from pose_core.interfaces import Backbone
from pose_core.model.build import build_model
from pose_core.runs.run_folder import Run
from pose_core.specs import TrainSpec
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.parts import (
    LR_FACTOR,
    check_parts,
    compute_depth_factors,
    freeze_norms,
    freeze_parts,
    group_parameters,
    is_within,
    list_frozen,
)
from pose_core.training.prepare import prepare
from pose_core.training.schedule_callback import ScheduleCallback


class Net(nn.Module):
    """Two parts, one of them with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.heads = nn.ModuleDict({"keypoints": nn.Conv2d(4, 2, 1), "identity": nn.Conv2d(4, 2, 1)})


def spec(**given: Any) -> TrainSpec:
    return TrainSpec.model_validate({"epochs": 2, "batch_size": 4, "validate_every": 1, **given})


def rates(**optimizer: Any) -> dict[str, float]:
    """The learning rate of each parameter of the net, the highest one being 1."""
    net = Net()
    groups = group_parameters(net, spec(optimizer={"lr": 1.0, **optimizer}).decided().optimizer)
    of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(of) == len(list(net.parameters())) == sum(len(g["params"]) for g in groups)
    return {name: of[id(p)] for name, p in net.named_parameters()}


def test_the_longest_part_that_fits_decides_the_rate() -> None:
    found = rates(lr_factors={"backbone": 0.1, "backbone.0": 0.5, "heads.keypoints": 3.0})
    assert found == {
        "backbone.0.weight": 0.5,
        "backbone.0.bias": 0.5,
        "backbone.1.weight": 0.1,
        "backbone.1.bias": 0.1,
        "heads.keypoints.weight": 3.0,
        "heads.keypoints.bias": 3.0,
        "heads.identity.weight": 1.0,
        "heads.identity.bias": 1.0,
    }
    assert not is_within("backbone2.weight", "backbone")


def test_without_factors_there_are_the_two_groups_of_weight_decay() -> None:
    groups = group_parameters(Net(), spec(optimizer={"lr": 1.0}).decided().optimizer)
    assert [(g["weight_decay"], g[LR_FACTOR], len(g["params"])) for g in groups] == [
        (1e-4, 1.0, 3),
        (0.0, 1.0, 5),
    ]


@given(st.integers(0, 5), st.dictionaries(st.sampled_from("abc"), st.integers(1, 4) | st.just(True)))
def test_a_part_is_frozen_for_its_epochs(epoch: int, freeze: dict[str, Any]) -> None:
    frozen = list_frozen(spec(freeze=freeze).freeze, epoch)
    for part, epochs in freeze.items():
        # 1 == True in Python, and one epoch is not for good.
        assert (part in frozen) == (True if epochs is True else epoch < epochs)


def test_a_frozen_part_keeps_weights_and_statistics_and_drops_nothing() -> None:
    net = Net()
    net.heads["identity"].requires_grad_(False)
    trainable = {name for name, p in net.named_parameters() if p.requires_grad}
    freeze_parts(net, trainable, ["backbone"])
    assert not any(module.training for module in net.backbone.modules())
    assert not any(p.requires_grad for p in net.backbone.parameters())
    assert net.heads["keypoints"].training
    freeze_parts(net, trainable, [])
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad for p in net.backbone.parameters())
    assert not net.heads["identity"].weight.requires_grad, "what the network froze itself stays so"


def test_frozen_norms_keep_their_statistics_and_learn_their_weights() -> None:
    net = Net()
    norm = net.backbone[1]
    norm.running_mean.fill_(3.0)
    net.train()
    freeze_norms(net)
    assert net.backbone[2].training, "dropout goes on"
    net.backbone(torch.rand(4, 3, 8, 8)).sum().backward()
    assert (norm.running_mean == 3.0).all()
    assert norm.weight.grad.abs().sum() > 0


def test_a_training_with_frozen_norms(blob_project: Path, tmp_path: Path) -> None:
    """Statistics stay those of the start, epoch after epoch, in the average of weights too."""
    run = train(
        blob_project,
        "resnet_18",
        out=tmp_path / "run",
        settings={
            "augmentation.crop.size": [32, 32],
            "model.preprocess.scale": 0.5,
            "train.weights": "none",
            "train.freeze_norms": True,
            "train.validate_every": 1,
        },
        epochs=2,
        device="cpu",
    )
    state = load_file(run.path / "weights.safetensors")
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    assert means
    assert all((value == 0).all() for value in means), "those of a fresh network"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"freeze": {"bakbone": 3}},
            r"train\.freeze\.bakbone: .*parts are backbone, heads\.keypoints, heads\.identity",
        ),
        (
            {"optimizer": {"lr_factors": {"neck": 0.1}}},
            r"train\.optimizer\.lr_factors\.neck: the network has",
        ),
        ({"freeze": {"backbone": True, "heads": True}}, r"train\.freeze: nothing would be trained"),
        ({"optimizer": {"layer_decay": 0.5}}, r"layer_decay: the backbone gives no order of its stages"),
    ],
)
def test_parts_that_there_are_not_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_parts(Net(), spec(**given))


def test_for_a_while_all_may_be_frozen_but_not_for_good() -> None:
    check_parts(Net(), spec(freeze={"backbone": True, "heads.keypoints": True, "heads.identity": 1}))


class Staged(Backbone):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self._frozen_norms = False
        self.stem, self.late, self.other = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)

    def stage_parts(self) -> tuple[tuple[str, ...], ...]:
        return (("stem.weight",), ("late",))

    def forward(self, images: Tensor, **extra: Any) -> list[Tensor]:
        raise NotImplementedError


def test_earlier_stages_learn_more_slowly() -> None:
    net = nn.Module()
    net.backbone, net.heads = Staged(), nn.Linear(1, 1)
    assert compute_depth_factors(net, 0.5) == {
        "backbone.stem.weight": 0.25,
        "backbone.late.weight": 0.5,
        "backbone.late.bias": 0.5,
    }


def fit(project: Path, out: Path, settings: tuple[str, ...], epochs: int, *more: str) -> Run:
    options = TrainOptions(epochs=epochs, device="cpu")
    prepared = prepare(project, "unet", assignments=[*settings, "train.ema=null", *more], options=options)
    return train_network(prepared, out)


def last_weights(run: Run) -> dict[str, Tensor]:
    """The weights after the last epoch, and not the best ones."""
    checkpoint = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        name.removeprefix("model."): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith("model.")
    }


def test_a_training_with_a_frozen_backbone(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    run = fit(blob_project, tmp_path / "frozen", tiny_settings, 2, "train.freeze.backbone=true")
    torch.manual_seed(run.spec.train.seed)
    initial, final = build_model(run.spec).state_dict(), last_weights(run)
    for name, tensor in initial.items():
        if name.startswith("backbone."):
            assert torch.equal(final[name], tensor), f"{name}, statistics of batch norms included"
    assert any(not torch.equal(final[n], t) for n, t in initial.items() if n.startswith("heads."))
    thawed = fit(blob_project, tmp_path / "thawed", tiny_settings, 2, "train.freeze.backbone=1")
    assert any(
        not torch.equal(last_weights(thawed)[n], t) for n, t in initial.items() if n.startswith("backbone.")
    )


def test_freezing_goes_on_after_a_resume(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    more = ("train.freeze.backbone=2", "train.validate_every=1", "train.schedule=constant")
    whole = fit(blob_project, tmp_path / "whole", tiny_settings, 3, *more)
    fit(blob_project, tmp_path / "parts", tiny_settings, 1, *more)
    options = TrainOptions(epochs=3, device="cpu")
    prepared = prepare(
        blob_project, "unet", assignments=[*tiny_settings, "train.ema=null", *more], options=options
    )
    resumed = train_network(prepared, tmp_path / "parts", resume=True)
    one, other = (load_file(run.path / "weights.safetensors") for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_accumulated_batches_are_one_step_and_one_rate(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    start = ScheduleCallback.on_train_batch_start

    def record(self: ScheduleCallback, trainer: Any, *arguments: Any) -> None:
        start(self, trainer, *arguments)
        seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    monkeypatch.setattr(ScheduleCallback, "on_train_batch_start", record)
    batches = [
        "train.batch_size=4",
        "train.accumulate=3",
        "train.validate_every=1",
        "train.optimizer.lr=auto",
    ]
    run = fit(blob_project, tmp_path / "run", tiny_settings, 2, *batches)
    samples = len(run.provenance["split"]["train"])
    # The last step of an epoch takes what batches are left.
    batches_an_epoch = math.ceil(samples / 4)
    steps = math.ceil(batches_an_epoch / 3)
    with (run.path / "history.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [steps, 2 * steps]
    assert run.spec.train.optimizer.lr == pytest.approx(
        run.spec.train.optimizer.base_lr * (12 / 8) ** 0.5, rel=0.01
    )
    assert len(seen) == 2 * batches_an_epoch
    assert len({round(rate, 12) for rate in seen}) <= 2 * steps, "within a step the rate stays"


def test_a_part_that_there_is_not_is_refused_before_training(blob_project: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.freeze\.bakbone: the network has no such part"):
        train(
            blob_project,
            model="unet",
            out=tmp_path / "run",
            device="cpu",
            settings={"train.freeze": {"bakbone": 2}},
            epochs=1,
            weights="none",
        )
    assert not (tmp_path / "run" / "weights.safetensors").exists()
