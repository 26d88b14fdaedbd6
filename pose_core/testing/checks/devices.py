"""Level 3: devices, precisions, compilers and exporters.

Not every network can do this, and not every machine has it: checks that cannot run are skipped with the
reason.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pose_core.interfaces import Head, Predictions
from pose_core.testing.checks.check import NETWORK, check, demand
from pose_core.testing.checks.examples import SKELETON
from pose_core.testing.checks.harness import (
    BackboneHarness,
    Harness,
    HeadHarness,
    NeckHarness,
    clone,
    harness_of,
)
from pose_core.testing.checks.targets import ComponentSubject, skip

_MAPS = ("backbone", "neck", "head")


class _Plain(nn.Module):
    """A part as compilers and exporters want it: tensors in, tensors out."""

    def __init__(self, harness: Harness, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.harness = harness
        # Compilers trace positional tensors, and the harness takes inputs by name.
        self.names = tuple(harness.inputs(1))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.harness.run(self.module, dict(zip(self.names, tensors, strict=True))).values())


def _build_plain(subject: ComponentSubject) -> tuple[_Plain, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The part in eval mode, an input, and what comes out."""
    harness = harness_of(subject)
    plain = _Plain(harness, harness.build()).eval()
    tensors = tuple(harness.inputs(2).values())
    with torch.no_grad():
        # Copies: a part that writes into its input would else be compared on another input.
        return plain, tensors, plain(*(t.clone() for t in tensors))


def _compare(found: Any, wanted: tuple[Tensor, ...], what: str, tolerance: float) -> None:
    demand(len(found) == len(wanted), f"{what} has {len(found)} outputs instead of {len(wanted)}")
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        a = a.float().cpu()
        demand(a.shape == b.shape, f"output {i} of {what} has shape {tuple(a.shape)}, not {tuple(b.shape)}")
        # Relative to the spread, since heads of logits and of pixels differ by orders of magnitude. An
        # output that is nearly constant would leave nothing, hence the floor.
        spread = float(b.std()) if b.numel() > 1 else 1.0
        off = float((a - b).abs().max())
        demand(
            off <= tolerance * max(spread, 1e-3) * 10,
            f"output {i} of {what} is off by {off:.3g}, spread {spread:.3g}",
        )


@check(3, *_MAPS)
def check_channels_last(subject: ComponentSubject) -> None:
    """With weights and inputs channels last in memory the outputs are the same; use reshape instead of
    view."""
    plain, tensors, wanted = _build_plain(subject)
    plain.to(memory_format=torch.channels_last)
    # Only tensors (B, C, H, W) have this layout; tokens (B, K, C) do not.
    laid = tuple(t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors)
    with torch.no_grad():
        _compare(plain(*laid), wanted, "channels last", 1e-3)


@check(3, NETWORK)
def check_mixed_precision(subject: ComponentSubject) -> None:
    """Under autocast with bfloat16 loss and gradients are finite; compute logarithms and exponentials in
    float32."""
    harness = harness_of(subject)
    module = harness.build()
    # bfloat16 has the range of float32 but 8 bits of precision: differences of close numbers vanish.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = harness.loss(module, harness.inputs(2))
    demand(torch.isfinite(loss), "the loss is not finite")
    if loss.requires_grad:
        torch.autograd.backward(loss)
    bad = [n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    demand(not bad, f"the gradient of {', '.join(bad[:3])} is not finite")


@check(3, *_MAPS)
def check_compiles(subject: ComponentSubject) -> None:
    """torch.compile gives the same outputs; leave Python out of forward that depends on values of tensors."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        raise skip("torch.compile needs a C++ compiler on the CPU, and there is none")
    plain, tensors, wanted = _build_plain(subject)
    compiled = torch.compile(plain)
    with torch.no_grad():
        _compare(compiled(*tensors), wanted, "the compiled part", 1e-3)


@check(3, *_MAPS)
def check_exports(subject: ComponentSubject) -> None:
    """torch.export makes a program with the same outputs for any number of images; shape[0], not len()."""
    plain, tensors, wanted = _build_plain(subject)
    with torch.no_grad():
        program = torch.export.export(plain, tensors, dynamic_shapes=_any_number(tensors))
        _compare(program.module()(*tensors), wanted, "the exported program", 1e-3)
        more, wanted = _compute_more(plain)
        _compare(program.module()(*more), wanted, "the exported program, of another number of images,", 1e-3)


@check(3, *_MAPS)
def check_exports_onnx(subject: ComponentSubject) -> None:
    """torch.onnx makes a model that onnxruntime runs to the same outputs, for any number of images."""
    skip_without_onnx()
    plain, tensors, wanted = _build_plain(subject)
    _compare_onnx(plain, [(tensors, wanted), _compute_more(plain)])


@check(3, "head")
def check_exports_decoding(subject: ComponentSubject) -> None:
    """What can_export_decoding() promises: torch.onnx makes a model of the decoding, for any number of images."""
    harness = harness_of(subject)
    head = harness.build().eval()
    if not isinstance(head, Head) or not head.can_export_decoding():
        raise skip("its decoding is no part of exported files")
    skip_without_onnx()
    decoding = _Decoding(head)
    given = []
    for images in (2, 3):
        with torch.no_grad():
            outputs = harness.run(head, harness.inputs(images))
            decoding.names = tuple(outputs)
            tensors = tuple(outputs.values())
            given.append((tensors, decoding(*tensors)))
    _compare_onnx(decoding, given)


class _Decoding(nn.Module):
    """Decoding of a head: its outputs in, animals out."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.names: tuple[str, ...] = ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        # An animal for heads that say something of those that others found.
        places = torch.linspace(8, 40, SKELETON.num_keypoints)[:, None].expand(tensors[0].shape[0], 1, -1, 2)
        found = Predictions.none(tensors[0].shape[0], SKELETON)
        found = found.with_animals(places, torch.ones_like(places[..., 0]))
        named = dict(zip(self.names, tensors, strict=True))
        decoded = self.head.decode({name: tensor.float() for name, tensor in named.items()}, found)
        # Arithmetic, so that nothing that went in comes out as it is, which ONNX does not name as an output.
        return tuple(
            getattr(decoded, name).nan_to_num(-1.0) + 0.0 * tensors[0].sum()
            for name in ("keypoints", "keypoint_scores", "scores", "identity_scores", "unique_keypoints")
        )


def _any_number(tensors: tuple[Tensor, ...]) -> dict[str, tuple[dict[int, Any], ...]]:
    """The first axis is open."""
    batch = torch.export.Dim("batch")
    return {"tensors": tuple({0: batch} for _ in tensors)}


def _compute_more(plain: _Plain) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs of another number of images than the example has, and what comes out."""
    tensors = tuple(plain.harness.inputs(3).values())
    with torch.no_grad():
        return tensors, plain(*(t.clone() for t in tensors))


def skip_without_onnx() -> None:
    absent = [n for n in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(n) is None]
    if absent:
        raise skip(f"needs {', '.join(absent)}; pip install {' '.join(absent)}")


def open_onnx(
    module: nn.Module, example: tuple[Tensor, ...], file: Path
) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Export a module with any number of images; returns what computes the file.

    Args:
        module: ``module(*tensors) -> tuple of tensors``.
        example: tensors that it takes, of two images.
        file: to be written.
    """
    # No dependency of the core: an author who exports has it.
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    names = [f"in_{i}" for i in range(len(example))]
    torch.onnx.export(
        module,
        example,
        str(file),
        input_names=names,
        dynamic_shapes=_any_number(example),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    fixed = [put.shape[0] for put in session.get_inputs() if isinstance(put.shape[0], int)]
    demand(
        not fixed,
        f"the batch of the ONNX model is always {fixed[:1]}; shape[0] leaves it open, len() does not",
    )
    # An input that nothing depends on is not in the file.
    used = {put.name for put in session.get_inputs()}

    def compute(tensors: Sequence[Tensor]) -> list[Tensor]:
        feed = {name: t.numpy() for name, t in zip(names, tensors, strict=True) if name in used}
        return [torch.from_numpy(f) for f in session.run(None, feed)]

    return compute


def _compare_onnx(module: nn.Module, given: Sequence[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]) -> None:
    """Export a module with the first of some inputs, and compare what the file makes of all of them."""
    with tempfile.TemporaryDirectory() as folder:
        compute = open_onnx(module, given[0][0], Path(folder) / "part.onnx")
        for tensors, wanted in given:
            _compare(compute(tensors), wanted, f"the ONNX model of {len(tensors[0])} images", 1e-2)


@check(3, NETWORK)
def check_runs_on_a_gpu(subject: ComponentSubject) -> None:
    """On a GPU it trains, and computes what it does on the CPU; make new tensors on the device of the
    inputs."""
    if not torch.cuda.is_available():
        raise skip("this machine has no CUDA GPU")
    harness = harness_of(subject)
    module = harness.build()
    inputs = harness.inputs(2)
    if isinstance(harness, BackboneHarness | NeckHarness | HeadHarness):
        with torch.no_grad():
            wanted = tuple(harness.run(module.eval(), clone(inputs)).values())
            module.cuda()
            found = harness.run(module, {n: t.cuda() for n, t in inputs.items()})
        # Wide: cuDNN computes float32 convolutions in TF32 by default, with 10 bits of mantissa.
        _compare(tuple(found.values()), wanted, "the GPU", 2e-2)
    module.cuda().train()
    loss = harness.loss(module, {n: t.cuda() for n, t in inputs.items()})
    demand(torch.isfinite(loss), "the loss is not finite")
    torch.autograd.backward(loss)


CHECKS = (
    check_channels_last,
    check_mixed_precision,
    check_compiles,
    check_exports,
    check_exports_onnx,
    check_exports_decoding,
    check_runs_on_a_gpu,
)
