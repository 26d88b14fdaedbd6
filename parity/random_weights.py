"""The original's side: random weights with which a network passes on what it sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torchvision.ops import DeformConv2d

RESIDUAL_END = re.compile(
    r"(\.bn3|blocks\.\d+\.conv2\.pointwise_conv\.norm|offset_feature_layers\.\d+\.\d+\.bn)$"
)
"""The last normalisation of residual branches of ResNets, HRNets, CSPNeXts and adaptive blocks."""
TAPS = re.compile(r"\.(transform_matrix|translation)_conv$")
"""What says where the taps of a deformable convolution lie."""
CONDITION = re.compile(r"\.cnn_cond$")
"""What reads the maps of a pose to correct, whose values go up to 255, into an attention."""


def randomise(model: nn.Module) -> None:
    """Every parameter drawn anew, so that a signal passes through all of them."""
    for module in model.modules():
        for name, value in module.named_parameters(recurse=False):
            if name == "pos_embedding":
                value.add_(0.1 * torch.randn_like(value))
            elif isinstance(module, nn.Linear | nn.modules.conv._ConvNd | DeformConv2d) and name == "weight":
                fan = (
                    value[0].numel()
                    if not isinstance(module, nn.ConvTranspose2d)
                    else value.numel() / value.shape[1]
                )
                value.copy_(torch.randn_like(value) * (2 / fan) ** 0.5)
            elif name == "bias":
                value.copy_(0.1 * torch.randn_like(value))
            elif value.dim() > 1:
                value.copy_(torch.randn_like(value))
            else:
                value.copy_(0.5 + torch.rand_like(value))
        if hasattr(module, "running_mean") and isinstance(getattr(module, "weight", None), torch.Tensor):
            # The batch norms of some detectors are frozen, and their weights no parameters.
            module.weight.copy_(0.5 + torch.rand_like(module.weight))
            module.bias.copy_(0.1 * torch.randn_like(module.bias))

    for name, module in model.named_modules():
        # Where a branch is added to its input, it must not outweigh it: rounding errors of float32 would grow
        # from block to block, and a deep random network would show those instead of what it computes.
        if RESIDUAL_END.search(name):
            module.weight.mul_(0.2)
        if TAPS.search(name):
            # Taps that move by many cells enlarge rounding errors by the steepness of the map that they read.
            module.weight.mul_(0.1)
            if module.bias.numel() == 4:
                module.bias.add_(torch.eye(2).flatten())
        if CONDITION.search(name):
            # Without, attention would be all or nothing, as rounding decides.
            module.weight.mul_(0.03)


def calibrate(model: nn.Module, *sample: Any, **more: Any) -> None:
    """Batch-norm statistics near those of the signal, but random: without, it would vanish or explode.

    Args:
        sample, more: what the model is called with.
    """
    hooks = []

    def measure(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0].transpose(0, 1).flatten(1)
        mean, spread = x.mean(1), x.std(1)
        spread = spread.clamp(min=float(spread.mean()) * 0.5 + 1e-3)
        module.running_mean.copy_(mean + 0.2 * spread * torch.randn_like(mean))
        module.running_var.copy_(spread**2 * (0.5 + torch.rand_like(mean)))

    for module in model.modules():
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            hooks.append(module.register_forward_pre_hook(measure))
    model(*sample, **more)
    for hook in hooks:
        hook.remove()


def scale_heads(model: nn.Module, outputs: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Outputs of a size at which scores are neither clipped nor saturated, and animals fit into the image.

    Args:
        outputs: of the model as it is, by head and name.
    """
    for slot, head in model.heads.items():
        if hasattr(head, "cls_x"):
            last = {"x": [head.cls_x], "y": [head.cls_y]}
        elif hasattr(head, "offset_head"):
            last = {
                "heatmap": [head.heatmap_head.head_heatmap[1]],
                "offset": head.offset_head.offset_final_layer,
            }
        elif hasattr(head, "heatmap_head"):
            last = {name: [_last(getattr(head, f"{name}_head"))] for name in outputs[slot]}
        else:
            continue
        for name, layers in last.items():
            factor = LARGEST[name] / float(outputs[slot][name].abs().max())
            for value in (value for layer in layers for value in layer.parameters()):
                value.mul_(factor)


LARGEST = {"heatmap": 0.9, "locref": 2.0, "paf": 1.0, "offset": 20.0, "x": 0.01, "y": 0.01}
"""The largest value of each output, in its units (of offsets: cells)."""


def _last(head: nn.Module) -> nn.Module:
    return [layer for layer in head.modules() if isinstance(layer, nn.modules.conv._ConvNd)][-1]


def spread_detections(detector: nn.Module, sample: torch.Tensor) -> None:
    """Scores that fill the range from 0 to 1, and boxes that are not all beyond the image."""
    spread = {
        "cls_score": 2.0,
        "cls_logits": 2.0,
        "bbox_pred": 0.5,
        "classification_head": 2.0,
        "regression_head": 1.0,
    }
    wanted, classes = [], []
    for name, module in detector.named_modules():
        last = name.split(".")[-1] == "1" and "module_list" in name  # of SSDLite's heads
        size = next((v for k, v in spread.items() if k in name), None)
        if (
            size is not None
            and isinstance(module, nn.Linear | nn.Conv2d)
            and ("module_list" not in name or last)
        ):
            wanted.append((module, size))
            if "cls_score" in name or "classification_head" in name:
                classes.append(module)

    def rescale(size: float) -> Callable[..., torch.Tensor]:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            factor = size / float(output.std())
            module.weight.mul_(factor)
            module.bias.mul_(factor)
            return output * factor

        return hook

    hooks = [module.register_forward_hook(rescale(size)) for module, size in wanted]
    detector(sample)
    for hook in hooks:
        hook.remove()
    for module in classes:
        module.bias[0::2].add_(4.0)  # background, which most of an image is
