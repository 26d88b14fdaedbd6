"""Parts of a network in training: which are frozen, and how fast each learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pose_core.errors import ConfigError
from pose_core.interfaces import Backbone
from pose_core.specs import TrainSpec
from pose_core.specs.optimizer import DecidedOptimizerSpec

LR_FACTOR = "lr_factor"
"""Key of a parameter group: its learning rate as a fraction of the optimiser's."""


def check_parts(network: nn.Module, train: TrainSpec) -> None:
    """Refuse settings for parts that the network does not have.

    Raises:
        ConfigError: no parameter belongs to such a part, nothing would be trained, or the backbone gives no
            order of stages for ``layer_decay``.
    """
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    for key, parts in (("freeze", train.freeze), ("optimizer.lr_factors", train.optimizer.lr_factors)):
        for part in parts:
            if not any(is_within(name, part) for name, _ in network.named_parameters()):
                known = ", ".join(_list_parts(network))
                raise ConfigError(f"train.{key}.{part}: the network has no such part; its parts are {known}")
    good = {part for part, epochs in train.freeze.items() if epochs is True}
    if trained and all(any(is_within(name, part) for part in good) for name in trained):
        raise ConfigError("train.freeze: nothing would be trained; leave a part out, or give it epochs")
    if train.optimizer.layer_decay is not None:
        compute_depth_factors(network, train.optimizer.layer_decay)


def is_within(name: str, part: str) -> bool:
    """Whether a parameter or module belongs to a part, by its name."""
    return name == part or name.startswith(f"{part}.")


def list_frozen(freeze: Mapping[str, int | Literal[True]], epoch: int) -> list[str]:
    """List the parts that are frozen in an epoch, counted from 0."""
    return [part for part, epochs in freeze.items() if epochs is True or epoch < epochs]


def freeze_parts(network: nn.Module, trainable: Iterable[str], parts: Iterable[str]) -> None:
    """Freeze these parts for now, and train what is not frozen.

    A frozen part computes as in prediction: its weights and the statistics of its batch norms stay, and nothing
    in it is dropped at random.

    Args:
        network: is put into training mode otherwise.
        trainable: names of the parameters that are trained where they are not frozen.
        parts: beginnings of names.
    """
    frozen = list(parts)
    for name, parameter in network.named_parameters():
        if name in trainable:
            parameter.requires_grad_(not any(is_within(name, part) for part in frozen))
    network.train()
    for name, module in network.named_modules():
        if name in frozen:
            module.eval()


def freeze_norms(network: nn.Module) -> None:
    """Have the batch norms of a network compute as in prediction: their statistics stay, their weights learn."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def group_parameters(network: nn.Module, spec: DecidedOptimizerSpec) -> list[dict[str, Any]]:
    """Group the parameters that are trained by weight decay and learning rate.

    Biases and the parameters of normalisation layers, those with one dimension, are not decayed.
    """
    depth = compute_depth_factors(network, spec.layer_decay) if spec.layer_decay is not None else {}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    # Those with decay first: a checkpoint knows groups by their place.
    for name, parameter in sorted(trained, key=lambda item: item[1].ndim <= 1):
        factor = _find_factor(name, spec.lr_factors) * depth.get(name, 1.0)
        decay = spec.weight_decay if parameter.ndim > 1 else 0.0
        group = {"params": [], "weight_decay": decay, LR_FACTOR: factor, "lr": spec.lr * factor}
        # By dimension and not by the decay, which may be 0 for all.
        groups.setdefault((parameter.ndim > 1, factor), group)["params"].append(parameter)
    return list(groups.values())


def compute_depth_factors(network: nn.Module, decay: float) -> dict[str, float]:
    """Compute the factor of the learning rate of each parameter of the backbone's stages.

    The last stage has ``decay``, each before it the factor of the one that follows once more (Clark et al.,
    ELECTRA, 2020; Bao et al., BEiT, 2022).

    Raises:
        ConfigError: the backbone gives no order of stages.
    """
    prefix, backbone = "backbone.", getattr(network, "backbone", None)
    # Inside of wrappers, which learn as fast as the heads.
    while isinstance(within := getattr(backbone, "backbone", None), Backbone):
        prefix, backbone = f"{prefix}backbone.", within
    stages = backbone.stage_parts() if isinstance(backbone, Backbone) else ()
    if not stages:
        raise ConfigError(
            "train.optimizer.layer_decay: the backbone gives no order of its stages; use lr_factors"
        )
    factors: dict[str, float] = {}
    for depth, parts in enumerate(reversed(stages), 1):
        for name, _ in network.named_parameters():
            if any(is_within(name, prefix + part) for part in parts):
                factors[name] = decay**depth
    return factors


def _find_factor(name: str, factors: Mapping[str, float]) -> float:
    """Find the factor of the part that says most about a parameter."""
    fitting = [part for part in factors if is_within(name, part)]
    return factors[max(fitting, key=len)] if fitting else 1.0


def _list_parts(network: nn.Module) -> list[str]:
    parts: dict[str, None] = {}
    for name, _ in network.named_parameters():
        components = name.split(".")
        # Heads have names of their own.
        parts[".".join(components[: 2 if components[0] in ("heads", "inputs") else 1])] = None
    return list(parts)
