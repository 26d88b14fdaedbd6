"""Level 1: parts with parameters, on the CPU."""

from __future__ import annotations

import math
import random
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pose_core.errors import RunError
from pose_core.interfaces import KeypointAxis
from pose_core.model.weights import load_into, read_weights, save_weights
from pose_core.structures import Skeleton
from pose_core.testing.checks.check import NETWORK, PLUGIN, check, demand
from pose_core.testing.checks.examples import MORE_INDIVIDUALS, MORE_KEYPOINTS, SKELETON
from pose_core.testing.checks.harness import BackboneHarness, NeckHarness, clone, harness_of
from pose_core.testing.checks.own_process import run_program
from pose_core.testing.checks.targets import ComponentSubject, Subject, skip

KeypointAxes = Mapping[str, Sequence[KeypointAxis]]

STEPS = 15
"""Of training on one batch."""


@check(1, "backbone", "neck")
def check_features_are_as_declared(subject: ComponentSubject) -> None:
    """The maps have the number, channels and strides that the config's features() say; correct one or the
    other."""
    harness = harness_of(subject)
    assert isinstance(harness, BackboneHarness | NeckHarness)
    with torch.no_grad():
        outputs = harness.maps(harness.build().eval(), harness.inputs(1))
    _compare_features(harness, outputs, harness.size)


def _compare_features(
    harness: BackboneHarness | NeckHarness, outputs: Sequence[Tensor], size: tuple[int, int]
) -> None:
    declared = harness.declared()
    demand(
        isinstance(outputs, list), f"forward must return a list of feature maps, not {type(outputs).__name__}"
    )
    demand(
        len(outputs) == len(declared),
        f"there are {len(outputs)} feature maps, but {len(declared)} are declared",
    )
    for i, (output, feature) in enumerate(zip(outputs, declared, strict=True)):
        height, width = size
        wanted: tuple[int, ...] = (feature.channels, height // feature.stride, width // feature.stride)
        if feature.tokens:
            wanted = (SKELETON.num_keypoints, feature.channels)
        real = tuple(output.shape[1:])
        demand(
            real == wanted,
            f"feature map {i} of an input of {height} x {width} has shape {real}, but {wanted} is declared",
        )
        demand(output.dtype == torch.float32, f"feature map {i} is {output.dtype}, not float32")


@check(1, "backbone")
def check_odd_sizes(subject: ComponentSubject) -> None:
    """Inputs whose sides are odd multiples of size_multiple() work; make size_multiple() larger if they
    cannot."""
    harness = harness_of(subject)
    assert isinstance(harness, BackboneHarness)
    if harness.fixed:
        raise skip("it takes inputs of one size only")
    multiple = harness.config.size_multiple()
    # The last bit makes it odd: such a side does not halve again, where maps of two resolutions are joined.
    # About 48 pixels keep it quick.
    few = max(1, 48 // multiple) | 1
    size = (few * multiple, (few + 2) * multiple)
    with torch.no_grad():
        outputs = harness.maps(harness.build().eval(), harness.inputs(1, size))
    _compare_features(harness, outputs, size)


@check(1, NETWORK)
def check_batches_of_one_and_three(subject: ComponentSubject) -> None:
    """An image gives the same alone and among others (in eval mode), and both batches train; mix no
    images."""
    harness = harness_of(subject)
    module = harness.build()
    several = harness.inputs(3)
    alone = {n: t[1:2].clone() for n, t in several.items()}
    for inputs in (alone, several):
        demand(
            torch.isfinite(harness.loss(module, clone(inputs))),
            f"the loss of a batch of {_count_images(inputs)} is not finite",
        )
    # A new module: the losses above moved the running statistics of its norms.
    module = harness.build().eval()
    with torch.no_grad():
        among, single = harness.run(module, clone(several)), harness.run(module, clone(alone))
    for name, output in single.items():
        demand(len(among[name]) == 3, f"{name} of a batch of 3 has {len(among[name])} entries")
        _demand_close(
            among[name][1:2], output, f"{name} of an image differs when others are in the batch", 1e-3
        )


def _count_images(inputs: Mapping[str, Tensor]) -> int:
    return len(next(iter(inputs.values())))


def _demand_close(first: Tensor, second: Tensor, message: str, tolerance: float) -> None:
    demand(first.shape == second.shape, f"{message}: shapes {tuple(first.shape)} and {tuple(second.shape)}")
    # Relative to the largest value: small values are the differences of large ones, and a batch of another
    # size is summed in another order.
    scale = float(second.nan_to_num(0.0).abs().max()) if second.numel() else 0.0
    close = torch.allclose(
        first.float(), second.float(), rtol=tolerance, atol=tolerance * max(scale, 1e-3), equal_nan=True
    )
    if not close:
        off = float((first.float() - second.float()).nan_to_num(math.inf).abs().max())
        raise AssertionError(f"{message}, by up to {off:.3g} where values reach {scale:.3g}")


@check(1, NETWORK)
def check_gradients_are_finite(subject: ComponentSubject) -> None:
    """Every parameter that learns gets a finite gradient that is not all zero; use it, or leave it out."""
    harness = harness_of(subject)
    module = harness.build()
    torch.autograd.backward(harness.loss(module, harness.inputs(2)))
    learning = {n: p.grad for n, p in module.named_parameters() if p.requires_grad}
    if not learning:
        raise skip("it has no parameters that learn")
    without = [n for n, g in learning.items() if g is None]
    demand(not without, f"without a gradient: {_list_some(without)}")
    bad = [n for n, g in learning.items() if g is not None and not torch.isfinite(g).all()]
    demand(not bad, f"with a gradient that is not finite: {_list_some(bad)}")
    demand(any(g is not None and bool(g.any()) for g in learning.values()), "all gradients are zero")


def _list_some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@check(1, NETWORK)
def check_eval_is_deterministic(subject: ComponentSubject) -> None:
    """In eval mode the same input gives the same output and changes no buffer; nn.Dropout and norms know the
    mode."""
    harness = harness_of(subject)
    module = harness.build().eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    inputs = harness.inputs(2)
    with torch.no_grad():
        first = {n: t.clone() for n, t in harness.run(module, clone(inputs)).items()}
        second = harness.run(module, clone(inputs))
    for name, output in first.items():
        # NaN marks missing boxes, and is not equal to itself.
        demand(torch.equal(output.nan_to_num(), second[name].nan_to_num()), f"{name} differs from run to run")
    changed = [n for n, t in module.state_dict().items() if not torch.equal(t, before[n])]
    demand(not changed, f"forward in eval mode changes {_list_some(changed)}")


@check(1, NETWORK)
def check_inputs_are_not_changed(subject: ComponentSubject) -> None:
    """forward leaves its inputs as they are; change no tensor in place that came from outside."""
    harness = harness_of(subject)
    module = harness.build().eval()
    inputs = harness.inputs(1)
    before = clone(inputs)
    with torch.no_grad():
        harness.run(module, inputs)
    changed = [n for n, t in inputs.items() if not torch.equal(t, before[n])]
    demand(not changed, f"forward changes its input {_list_some(changed)} in place")


@check(1, "backbone", "neck", "head")
def check_follows_the_device(subject: ComponentSubject) -> None:
    """Moved to another device, it needs nothing of the first; make new tensors on the device of the
    inputs."""
    harness = harness_of(subject)
    # Every machine has this device, so that no GPU is needed to find a tensor made on the CPU.
    module = harness.build().eval().to("meta")
    inputs = {name: tensor.to("meta") for name, tensor in harness.inputs(1).items()}
    try:
        with torch.no_grad():
            outputs = harness.run(module, inputs)
    except RuntimeError as error:
        # torch raises RuntimeError for all of these; only the message tells them apart.
        text = str(error)
        demand("copy out of meta" not in text, "forward takes tensors to the CPU, or to numpy")
        demand(" device" not in text, f"forward mixes devices: {text}")
        raise skip(f"what forward does depends on values, which this check has none of ({text})") from None
    stray = [name for name, output in outputs.items() if output.device.type != "meta"]
    demand(not stray, f"{', '.join(stray)} is on the CPU, whatever the device of the inputs")


@check(1, NETWORK)
def check_weights_round_trip(subject: ComponentSubject) -> None:
    """Saved as safetensors and loaded into a new module, the outputs are the same; register all state as
    buffers."""
    harness = harness_of(subject)
    module = harness.build()
    learning = [p for p in module.parameters() if p.requires_grad]
    # A step of training, so that statistics and weights are no longer those that building gives.
    if learning:
        optimizer = torch.optim.SGD(learning, lr=1e-3)
        torch.autograd.backward(harness.loss(module, harness.inputs(2)))
        optimizer.step()
    if not module.state_dict():
        raise skip("it has no weights")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_weights(file, module.state_dict())
        # Another seed: a value that is drawn on building and not saved must come out different.
        other = harness.build(seed=1)
        try:
            load_into(other, read_weights(file), file)
        except RunError as error:
            raise AssertionError(str(error)) from None
    inputs = harness.inputs(1)
    with torch.no_grad():
        wanted, found = harness.run(module.eval(), clone(inputs)), harness.run(other.eval(), clone(inputs))
    for name, output in wanted.items():
        same = torch.equal(output.nan_to_num(), found[name].nan_to_num())
        demand(same, f"{name} differs after saving and loading: some state is in no parameter and no buffer")


@check(1, NETWORK)
def check_global_state_is_kept(subject: ComponentSubject) -> None:
    """Building and running seeds nothing and changes no setting of torch, numpy, random or warnings."""
    harness = harness_of(subject)
    # Once before the watch begins: libraries that are imported on the first build may change settings.
    harness.build()
    settings = _read_settings()
    ends = []
    context = harness.context(SKELETON)
    # A part that seeds the generator itself ends in the same state from both.
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = context.build(subject.kind, harness.config)
        torch.autograd.backward(harness.loss(module, harness.inputs(2)))
        ends.append(torch.get_rng_state())
    demand(not torch.equal(*ends), "it seeds torch's random numbers, which belong to the user")
    module.eval()
    start = torch.get_rng_state()
    with torch.no_grad():
        harness.run(module, harness.inputs(1))
    demand(torch.equal(start, torch.get_rng_state()), "forward in eval mode draws random numbers of torch")
    changed = [n for n, value in _read_settings().items() if value != settings[n]]
    demand(not changed, f"it changes {_list_some(changed)}")


def _read_settings() -> dict[str, object]:
    return {
        # As text, for arrays do not compare to one bool.
        "numpy's global random state": repr(np.random.get_state()),
        "random's state": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "the number of torch's threads": torch.get_num_threads(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "the warnings filters": list(warnings.filters),
    }


@check(1, PLUGIN)
def check_import_keeps_global_state(subject: Subject) -> None:
    """Importing the modules of components seeds nothing and changes no setting of torch."""
    targets = {
        d.factory.partition(":")[0] for d in subject.plugin.definitions.get("pose_components", ()) if d.config
    }
    if not targets:
        raise skip("it offers no components")
    program = f"""
import importlib, random, torch, numpy
def settings():
    return {{"torch's random state": torch.get_rng_state().tolist(),
            "numpy's random state": repr(numpy.random.get_state()), "random's state": random.getstate(),
            "torch's default dtype": torch.get_default_dtype(),
            "torch's threads": torch.get_num_threads(), "torch's grad mode": torch.is_grad_enabled(),
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled()}}
before = settings()
for module in {sorted(targets)!r}:
    importlib.import_module(module)
    after = settings()
    for name in before:
        if after[name] != before[name]: print(f"importing {{module}} changes {{name}}")
    before = after
"""
    # A module is imported once in a process, and here that has happened long ago.
    process = run_program(program, ("torch", "numpy", "pose_core.interfaces"))
    demand(process.returncode == 0, f"cannot be imported: {process.stderr.strip().splitlines()[-1:]}")
    demand(not process.stdout.strip(), "; ".join(process.stdout.strip().splitlines()))


@check(1, NETWORK)
def check_learns_one_batch(subject: ComponentSubject) -> None:
    """Its loss falls on one batch within 15 steps; look for cut gradients, frozen layers or saturated
    outputs."""
    harness = harness_of(subject)
    module = harness.build()
    learning = [p for p in module.parameters() if p.requires_grad]
    if not learning:
        raise skip("it has no parameters that learn")
    inputs = harness.inputs(2)
    optimizer = torch.optim.Adam(learning, lr=2e-3)
    losses = []
    for _ in range(STEPS + 1):
        # Detectors sample the boxes of their losses, and dropout draws: the same in each step, so that the
        # loss falls by learning only.
        torch.manual_seed(0)
        optimizer.zero_grad()
        loss = harness.loss(module, clone(inputs))
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss))
        # Ends at the first success, so that what learns quickly costs few steps.
        if losses[-1] < 0.98 * losses[0]:
            return
    best = min(losses[1:])
    raise AssertionError(
        f"the loss goes from {losses[0]:.4g} to no less than {best:.4g} in {STEPS} steps on one batch"
    )


@check(1, "backbone", "neck", "head")
def check_keypoint_axes_are_all(subject: ComponentSubject) -> None:
    """keypoint_axes() names exactly the tensors whose shape depends on keypoints or individuals, entry by
    entry."""
    harness = harness_of(subject)
    module = harness.build()
    axes: KeypointAxes = module.keypoint_axes()  # type: ignore[operator]
    state = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    unknown = sorted(set(axes) - set(state))
    demand(not unknown, f"keypoint_axes names what is no parameter or buffer: {_list_some(unknown)}")
    for name, of in axes.items():
        for axis in of:
            demand(
                isinstance(axis, KeypointAxis),
                f"the axes of {name} must be pose_core.interfaces.KeypointAxis",
            )
            size = state[name][axis.axis]
            demand(
                len(axis.entries) == size,
                f"axis {axis.axis} of {name} has {size} entries, but keypoint_axes names {len(axis.entries)}",
            )
            names = (
                {*SKELETON.individuals}
                if axis.individuals
                else {*SKELETON.keypoints, *SKELETON.unique_keypoints}
            )
            strange = sorted({n for entry in axis.entries for n in entry} - names)
            demand(not strange, f"axis {axis.axis} of {name} is about unknown names: {', '.join(strange)}")
    # One entry more, and only the axes that depend on it grow. Counting alone would mix up 4 keypoints with
    # any other 4.
    for other, individuals in ((MORE_KEYPOINTS, False), (MORE_INDIVIDUALS, True)):
        _compare_shapes(state, _read_shapes(harness.build(other)), axes, individuals, other)


def _read_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in module.state_dict().items()}


def _compare_shapes(
    state: Mapping[str, tuple[int, ...]],
    other: Mapping[str, tuple[int, ...]],
    axes: KeypointAxes,
    individuals: bool,
    skeleton: Skeleton,
) -> None:
    what = "individuals" if individuals else "keypoints"
    for name, shape in state.items():
        if name not in other:
            demand(name in axes, f"{name} is not there with other {what}, and keypoint_axes does not name it")
            continue
        differ = {i for i, (a, b) in enumerate(zip(shape, other[name], strict=False)) if a != b}
        named = {a.axis for a in axes.get(name, ()) if a.individuals == individuals}
        demand(
            differ <= named,
            f"axes {sorted(differ)} of {name} depend on the {what} ({shape}, and {other[name]} with one "
            "more), "
            f"but keypoint_axes names {sorted(named) or 'none'}",
        )


CHECKS = (
    check_features_are_as_declared,
    check_odd_sizes,
    check_batches_of_one_and_three,
    check_gradients_are_finite,
    check_eval_is_deterministic,
    check_inputs_are_not_changed,
    check_follows_the_device,
    check_weights_round_trip,
    check_global_state_is_kept,
    check_import_keeps_global_state,
    check_learns_one_batch,
    check_keypoint_axes_are_all,
)
