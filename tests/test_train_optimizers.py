"""Optimisers of torch by name, with their own options."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from pose_core.errors import ConfigError
from pose_core.specs.optimizer import OPTIMIZERS, WITHOUT_WEIGHT_DECAY, DecidedOptimizerSpec, OptimizerSpec
from pose_core.training.optimizers import make_optimizer
from pose_core.training.parts import LR_FACTOR, group_parameters
from pose_core.training.prepare import prepare

NOT_OF_A_TRAINING = {
    "params",
    "lr",
    "weight_decay",
    "foreach",
    "maximize",
    "capturable",
    "differentiable",
    "fused",
}
UNFIT = {"lbfgs", "sparseadam", "muon"}


def optimizers_of_torch() -> dict[str, type[torch.optim.Optimizer]]:
    return {
        name.lower(): kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and name != "Optimizer"
    }


def test_the_table_is_that_of_the_installed_torch() -> None:
    theirs = optimizers_of_torch()
    assert set(OPTIMIZERS) == set(theirs) - UNFIT
    # Named a second time for the JSON Schema and type checkers.
    names = OptimizerSpec.model_fields["name"]
    assert set(get_args(names.annotation)) == set(OPTIMIZERS)
    for name, options in OPTIMIZERS.items():
        parameters = set(inspect.signature(theirs[name]).parameters)
        assert set(options) == parameters - NOT_OF_A_TRAINING
        assert (name in WITHOUT_WEIGHT_DECAY) == ("weight_decay" not in parameters)


def make(network: torch.nn.Module, **content: Any) -> torch.optim.Optimizer:
    spec = DecidedOptimizerSpec.model_validate({"lr": 0.01, **content})
    return make_optimizer(spec, group_parameters(network, spec))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_each_optimizer_learns(name: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    images, target = torch.randn(32, 3), torch.randn(32, 2)
    decay = {"weight_decay": 0} if name in WITHOUT_WEIGHT_DECAY else {}
    optimizer = make(network, name=name, lr=1.0 if name == "adadelta" else 0.01, **decay)
    assert type(optimizer).__name__.lower() == name
    losses = []
    for _ in range(30):
        loss = (network(images) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    # Biases are not decayed, and each group knows its factor of the learning rate.
    assert [group[LR_FACTOR] for group in optimizer.param_groups] == [1.0, 1.0]
    if not decay:
        assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 0.0]


def test_options_reach_torch() -> None:
    network = torch.nn.Linear(3, 2)
    adam = make(network, name="adam", options={"betas": [0.8, 0.99], "eps": "1e-6", "amsgrad": True})
    group = adam.param_groups[0]
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.8, 0.99), 1e-6, True)
    for options, momentum, nesterov in (
        ({}, 0.9, True),
        ({"momentum": 0}, 0, False),
        ({"momentum": 0.5, "nesterov": False}, 0.5, False),
        ({"dampening": 0.1}, 0.9, False),
    ):
        group = make(network, name="sgd", options=options).param_groups[0]
        assert (group["momentum"], group["nesterov"]) == (momentum, nesterov)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"name": "adamm"}, r"train\.optimizer\.name: there is no optimiser 'adamm'; did you mean adam"),
        ({"name": "AdamW"}, r"'AdamW'; did you mean adamw"),
        ({"name": "zzz"}, r"there are adadelta, adafactor,"),
        ({"options": {"beta": [0.9, 0.9]}}, r"adamw has no option 'beta'; did you mean betas\?"),
        ({"name": "sgd", "options": {"amsgrad": True}}, r"its options are momentum, dampening, nesterov"),
        ({"options": {"lr": 0.1}}, r"it is train\.optimizer\.lr"),
        ({"name": "rprop"}, r"train\.optimizer: rprop has no weight decay; set weight_decay: 0"),
        ({"options": {"betas": [0.9, 1.5]}}, r"train\.optimizer\.options: adamw does not take them: .*1\.5"),
        ({"options": {"betas": 0.9}}, r"train\.optimizer\.options: adamw does not take them"),
        ({"options": {"betas": "all"}}, r"train\.optimizer\.options\.betas: must"),
    ],
)
def test_what_torch_does_not_take_is_refused_before_training(
    blob_project: Path, content: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        prepare(blob_project, "unet", assignments=[f"train.optimizer={json.dumps(content)}"])
    assert "\n" not in str(refused.value)


def test_options_of_a_network_below_are_checked(blob_project: Path) -> None:
    wrong = "stages.detector.train.optimizer.options.betas=[2, 2]"
    with pytest.raises(ConfigError, match=r"stages\.detector\.train\.optimizer\.options: adamw does not"):
        prepare(blob_project, "top_down_unet", networks={"detector": "ssdlite"}, assignments=[wrong])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_on_a_cpu_steps_are_fused_where_torch_can_and_the_same(name: str) -> None:
    kind = optimizers_of_torch()[name]
    spec = DecidedOptimizerSpec(name=name, lr=1e-2, weight_decay=0)
    made, plain = (torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2))
    ours = make_optimizer(spec, [{"params": [made]}])
    assert bool(ours.defaults.get("fused")) == ("fused" in inspect.signature(kind).parameters)
    options = {key: value for key, value in ours.defaults.items() if key != "fused"}
    theirs = kind([plain], **{k: v for k, v in options.items() if k in inspect.signature(kind).parameters})
    for step in range(5):
        for parameter, optimizer in ((made, ours), (plain, theirs)):
            parameter.grad = torch.sin(torch.arange(12.0).reshape(3, 4) + step)
            optimizer.step()
    torch.testing.assert_close(made, plain, rtol=1e-5, atol=1e-6)
