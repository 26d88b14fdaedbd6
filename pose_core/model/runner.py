"""Let a runtime compute a pose network: the same tensors under the same names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.catalog import find_missing_package, get_catalog
from pose_core.errors import ConfigError, PluginError, PoseError
from pose_core.interfaces import Predictions, Runtime, RuntimeContext
from pose_core.model.assemble import Outputs, PoseModel
from pose_core.model.torch_runtime import TorchRuntime
from pose_core.specs import RuntimeConfig

TOLERANCE = {32: 1e-3, 16: 0.05}
"""Largest difference from the network itself, as a fraction of the largest value of a tensor, by precision; float32 is
at 1e-5. What 8 bits do to random images says nothing of real ones."""


Calibration = Callable[[], Sequence[tuple[Tensor, ...]]]
"""Gives the tensors that a network gets for images of the training; see
:class:`~pose_core.interfaces.RuntimeContext`."""


class PlainNetwork(nn.Module):
    """A pose network as exporters want it: tensors in, a tuple of tensors out.

    Attributes:
        inputs: names of the tensors that go in.
        outputs: head and output of each tensor that comes out; known once it has computed something.
    """

    def __init__(self, model: PoseModel) -> None:
        super().__init__()
        self.model = model
        self.inputs = ("image", *model.inputs)
        self.outputs: tuple[tuple[str, str], ...] = ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs of all heads."""
        outputs = self.model(tensors[0], **dict(zip(self.inputs[1:], tensors[1:], strict=True)))
        # Not while it is exported, when nothing may be assigned: the example was computed before.
        if not self.outputs:
            self.outputs = tuple((head, name) for head, found in outputs.items() for name in found)
        return tuple(tensor for found in outputs.values() for tensor in found.values())


class Runner:
    """Computes the outputs of a pose network by a runtime; a :data:`~pose_core.model.assemble.Compute`."""

    def __init__(self, network: PlainNetwork, runtime: Runtime) -> None:
        self._network = network
        self._runtime = runtime

    def __call__(self, images: Tensor, extra: Mapping[str, Tensor]) -> Outputs:
        """Compute outputs by head name and output name."""
        floats = self._network.model.normalise(images, channels_last=self._runtime.channels_last)
        found = self._runtime.run([floats, *(extra[name] for name in self._network.inputs[1:])])
        outputs: dict[str, dict[str, Tensor]] = {}
        for (head, name), tensor in zip(self._network.outputs, found, strict=True):
            outputs.setdefault(head, {})[name] = tensor
        return outputs


def find_runtime(config: RuntimeConfig, device: torch.device, precision: int = 32) -> type[Runtime]:
    """Find the class of a runtime that can compute here.

    Args:
        config: of the runtime.
        device: where it is to compute.
        precision: bits that it is to compute with.

    Raises:
        ConfigError: a package is missing, or it does not compute on this device, or not with these bits.
    """
    component = get_catalog().component("runtime", config.type)
    factory: type[Runtime] = component.factory()
    if (missing := find_missing_package(factory)) is not None:
        raise ConfigError(
            f"runtime {component.name}: needs {missing}, which is not installed: pip install {missing}"
        )
    if device.type not in (there := factory.devices()):
        raise ConfigError(
            f"runtime {component.name}: does not compute on {device.type} here, "
            + (f"only on {', '.join(there)}" if there else "nor on any other device of this machine")
            + "; choose another device or runtime ('pose runtimes' lists them)"
        )
    if precision not in (bits := factory.precisions(device.type)):
        raise ConfigError(
            f"runtime {component.name}: computes with {' or '.join(map(str, bits))} bits on {device.type}, not with "
            f"{precision}; choose another precision or runtime ('pose runtimes' lists them)"
        )
    return factory


def use_runtime(
    model: PoseModel,
    config: RuntimeConfig,
    cache: Path,
    name: str,
    precision: int = 32,
    calibration: Calibration | None = None,
    keep_float: tuple[str, ...] = (),
) -> None:
    """Let a runtime compute the network in predictions.

    Args:
        model: in evaluation mode, on its device.
        config: of the runtime.
        cache: folder for what it wants to keep, of this network and runtime alone.
        name: of the network, for messages.
        precision, calibration, keep_float: as of :class:`~pose_core.interfaces.RuntimeContext`.

    Raises:
        ConfigError: the runtime does not compute on this device, or cannot take the network.
        PluginError: it computes something else.
    """
    factory = find_runtime(config, model.device, precision)
    # Nothing to keep, to compare, or to gain by taking a way around.
    if issubclass(factory, TorchRuntime) and not factory.replaces_network and precision == 32:
        model.compute = None
        return
    network = PlainNetwork(model).eval()
    context = RuntimeContext(
        network=network,
        inputs=network.inputs,
        example=make_example(model, channels_last=factory.channels_last),
        fixed_size=model.spec.preprocess.size is not None,
        size_multiple=model.size_multiple,
        device=model.device,
        cache=cache,
        name=name,
        precision=precision,
        calibration=calibration,
        keep_float=keep_float,
    )
    # The network says what it puts out once it has computed something, which is the first thing done here.
    model.compute = Runner(network, make_compared(factory, config, context))


def make_compared(factory: type[Runtime], config: RuntimeConfig, context: RuntimeContext) -> Runtime:
    """Make a runtime and compare it with the network on the example; once more without the cache where it differs.

    Args:
        factory: its class.
        config: of it.
        context: the network.

    Raises:
        ConfigError: it cannot take the network.
        PluginError: it differs, or fails.
    """
    called = get_catalog().component("runtime", config.type).name
    with torch.inference_mode():
        wanted = context.network(*context.example)
    try:
        return _make_compared(called, factory, config, context, wanted)
    except PoseError:
        raise
    # Whatever it is: a plugin of a stranger is no reason for a traceback of pages.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PluginError(
            f"runtime {called}: fails with {context.name}: {first}; use another runtime"
        ) from error


def _make_compared(
    name: str,
    factory: type[Runtime],
    config: RuntimeConfig,
    context: RuntimeContext,
    wanted: Sequence[Tensor],
) -> Runtime:
    def differs(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> str | None:
        if context.differs is not None:
            return context.differs(found, wanted)
        return find_difference(found, wanted, context.precision)

    problem: str | None = None
    one = [tensor[:1] for tensor in context.example]
    # The cache may be of code that was changed since without a new version, or damaged.
    for fresh in (False, True):
        if fresh:
            shutil.rmtree(context.cache, ignore_errors=True)
        runtime = factory(config, replace(context, example=tuple(t.clone() for t in context.example)))
        problem = differs(runtime.run(context.example), wanted)
        # A converter may have taken the number of images for a constant.
        problem = problem or differs(runtime.run(one), [t[:1] for t in wanted])
        if problem is None:
            return runtime
    raise PluginError(
        f"runtime {name}: computes something else than {context.name}: {problem}; use another runtime"
    )


def find_difference(found: Sequence[Tensor], wanted: Sequence[Tensor], precision: int = 32) -> str | None:
    """Say where tensors differ by more than :data:`TOLERANCE`; None where they do not.

    Of 8 bits, shapes are compared, and every number must be one.
    """
    if len(found) != len(wanted):
        return f"{len(found)} tensors instead of {len(wanted)}"
    for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if one.shape != other.shape:
            return f"tensor {i} has shape {tuple(one.shape)} instead of {tuple(other.shape)}"
        if precision not in TOLERANCE:
            if not bool(one.isfinite().all()):
                return f"tensor {i} has values that are no finite numbers"
            continue
        largest = float(other.abs().max()) if other.numel() else 0.0
        off = float((one.float() - other.float()).abs().max()) if other.numel() else 0.0
        # Not "off > ...": NaN is a difference, too.
        if not off <= TOLERANCE[precision] * max(largest, 1e-6):
            return f"tensor {i} is off by {off:.3g}, where the largest value is {largest:.3g}"
    return None


def make_example(model: PoseModel, images: int = 2, *, channels_last: bool = True) -> tuple[Tensor, ...]:
    """Make tensors that a network takes: random images, and extra inputs of random poses.

    Returns:
        the normalised images and the extra inputs, in their order; the same each time.
    """
    pixels, *extra = make_pixels(model, images)
    return model.normalise(pixels, channels_last=channels_last), *extra


def make_pixels(model: PoseModel, images: int = 2) -> tuple[Tensor, ...]:
    """Make what :func:`make_example` does, with the images as bytes (B, 3, H, W)."""
    multiple = model.size_multiple
    # Twice and three times, so that neither side is of one cell, nor mistaken for the other.
    height, width = model.spec.preprocess.size or (max(2 * multiple, 64), max(3 * multiple, 96))
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    # A generator of its own: predictions must not disturb the random numbers of whoever calls.
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, height, width), dtype=torch.uint8, generator=random)
    points = torch.rand(images, 1, model.skeleton.num_keypoints, 2, generator=random)
    points = points * torch.tensor([width, height])
    found = Predictions.none(images, model.skeleton, model.device)
    found = found.with_animals(points.to(model.device), torch.ones_like(points[..., 0]).to(model.device))
    with torch.inference_mode():
        extra = model.extra_for_inference(found, (height, width))
        return pixels.to(model.device), *extra.values()
