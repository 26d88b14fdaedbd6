"""Measure what the networks of models cost: parameters, operations, and the time of a forward pass on one core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.model_costs import ModelCost
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.specs.resolve import Layer, resolve

SIDE = 256
"""Height and width of the input, pixels, where a model does not say its own."""

_REPEATS = 3
_CHANNELS = 64
_KEYPOINTS = tuple(f"keypoint_{i}" for i in range(12))


def measure_models(models: Iterable[Model]) -> Iterator[ModelCost]:
    """Measure models one after the other on the CPU, with random weights, one image at a time.

    Args:
        models: of the catalogue.

    Yields:
        the cost of each for a skeleton of 12 keypoints.

    Raises:
        ConfigError: a model cannot be configured.
        PluginError: a network cannot be built.
    """
    threads = torch.get_num_threads()
    # One thread: seconds of one core can be compared while other programs use the machine, too.
    torch.set_num_threads(1)
    try:
        unit = time_reference()
        for model in models:
            yield _measure(model, unit)
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _measure(model: Model, unit: float) -> ModelCost:
    network = build_network(model)
    height, width = network.spec.preprocess.size or (SIDE, SIDE)
    # Networks that take any size take multiples of a small one.
    multiple = network.size_multiple
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    image = torch.zeros(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    # An animal in the middle, for networks that refine what another one found.
    there = torch.full((1, 1, len(_KEYPOINTS), 2), height / 2)
    found = Predictions.none(1, network.skeleton).with_animals(there, torch.ones_like(there[..., 0]))
    extra = network.extra_for_inference(found, (height, width))
    counter = FlopCounterMode(display=False)
    with counter:
        network(image, **extra)
    return ModelCost(
        name=model.name,
        method=model.method,
        height=height,
        width=width,
        parameters=sum(p.numel() for p in network.parameters()),
        gflops=round(counter.get_total_flops() / 1e9, 2),
        relative_time=round(_time(lambda: network(image, **extra)) / unit, 1),
    )


def build_network(model: Model) -> PoseModel:
    """Build the network of a model for a project that it is for, with random weights, in eval mode."""
    one = get_catalog().method(model.method).animals == "one"
    skeleton: dict[str, object] = {
        "keypoints": list(_KEYPOINTS),
        "edges": [list(pair) for pair in pairwise(_KEYPOINTS)],
        **({} if one else {"individuals": ["one", "two"]}),
    }
    if model.skeleton_needs == "identity":
        skeleton["identified"] = True
    if model.skeleton_needs == "unique_keypoints":
        skeleton["unique_keypoints"] = ["corner"]
    # The source need not exist: networks are built without looking at the data.
    spec = resolve(model, Layer({"skeleton": skeleton, "data": {"source": "nowhere"}}), [])
    return build_model(spec).eval().to(memory_format=torch.channels_last)


def time_reference() -> float:
    """Time 1 GFLOP of 3 x 3 convolutions, in seconds of CPU: what this machine makes of a plain network."""
    side = SIDE // 4
    # Two operations for each weight and output.
    layers = round(1e9 / (2 * 9 * _CHANNELS**2 * side**2))
    network = nn.Sequential(
        *(nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False) for _ in range(layers))
    ).to(memory_format=torch.channels_last)
    image = torch.zeros(1, _CHANNELS, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return _time(lambda: network(image))


def _time(run: Callable[[], object]) -> float:
    """Seconds of CPU of the fastest of a few runs after one that does not count."""
    seconds = []
    for _ in range(_REPEATS + 1):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds[1:])
