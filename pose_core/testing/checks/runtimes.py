"""Level 1: runtimes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.catalog import find_missing_package
from pose_core.errors import PoseError
from pose_core.interfaces.runtime import Runtime, RuntimeContext
from pose_core.model.runner import find_difference
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_SIZES = ((1, 64, 96), (3, 96, 64))
"""Images, height and width, none of them that of the example."""


class _Network(nn.Module):
    """What pose networks are made of, small: convolutions, normalisation, a map made larger, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.GELU(), nn.Upsample(scale_factor=2))
        self.heatmap, self.offsets = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 4, 1)

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, ...]:
        features = self.first(image + condition.mean(1, keepdim=True))
        features = features + self.second(features)
        return self.heatmap(features).sigmoid(), self.offsets(features)


def _make_tensors(images: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(images)
    shapes = (images, 3, height, width), (images, 2, height, width)
    one, other = (torch.randn(shape, generator=random) for shape in shapes)
    return one, other


def _make_context(cache: Path) -> RuntimeContext:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Network().eval()
    # Takes any number of positional tensors, as the networks of runs do.
    plain = _AnyNumber(network)
    return RuntimeContext(
        plain,
        ("image", "condition"),
        _make_tensors(2, 64, 64),
        False,
        32,
        torch.device("cpu"),
        cache,
        "a network",
    )


class _AnyNumber(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self.network(*tensors)  # type: ignore[no-any-return]


def _make_runtime(subject: ComponentSubject, context: RuntimeContext) -> Runtime:
    factory = subject.component.factory()
    if (missing := find_missing_package(factory)) is not None:
        raise skip(f"needs {missing}")
    if "cpu" not in factory.devices():
        raise skip("does not compute on the CPU")
    made: Runtime = factory(subject.config, context)
    return made


def _compute(network: nn.Module, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    with torch.inference_mode():
        return network(*tensors)  # type: ignore[no-any-return]


@check(1, "runtime")
def check_runtime_computes_the_network(subject: ComponentSubject) -> None:
    """Any number of images of any size (in multiples) gives what the network gives, within a thousandth."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        context = _make_context(Path(name) / "cache")
        runtime = _make_runtime(subject, context)
        for size in _SIZES:
            tensors = _make_tensors(*size)
            found = runtime.run([tensor.clone() for tensor in tensors])
            problem = find_difference(found, _compute(context.network, tensors))
            demand(problem is None, f"for {size[0]} images of {size[1]} x {size[2]} it gives {problem}")


@check(1, "runtime")
def check_runtime_keeps_its_hands_off(subject: ComponentSubject) -> None:
    """It changes neither what it is given nor what it gave before: new tensors at each call."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        runtime = _make_runtime(subject, _make_context(Path(name) / "cache"))
        first, second = _make_tensors(2, 64, 64), _make_tensors(2, 64, 64)
        given = [tensor.clone() for tensor in first]
        found = runtime.run(given)
        demand(all(map(torch.equal, given, first)), "it changes the tensors that it is given")
        kept = [tensor.clone() for tensor in found]
        runtime.run([tensor.flip(0) for tensor in second])
        demand(all(map(torch.equal, found, kept)), "the next call changes the tensors of the one before")


@check(1, "runtime")
def check_runtime_survives_its_cache(subject: ComponentSubject) -> None:
    """Made anew over the same cache it computes the same; over damaged files too, or it says so in one line."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        context = _make_context(Path(name) / "cache")
        tensors = _make_tensors(3, 64, 64)
        wanted = _compute(context.network, tensors)
        _make_runtime(subject, context)
        problem = find_difference(_make_runtime(subject, context).run(tensors), wanted)
        demand(problem is None, f"made anew, it gives {problem}")
        for file in [path for path in context.cache.rglob("*") if path.is_file()]:
            file.write_bytes(b"\x00" * 16)
        try:
            found = _make_runtime(subject, context).run(tensors)
        except PoseError:
            return
        except Exception as error:
            raise AssertionError(
                f"damaged files of its cache raise {type(error).__name__}: {error}; make them anew"
            ) from None
        # Wrong numbers are no failure here: the core compares them, and empties the cache.
        demand(len(found) == len(wanted), "over a damaged cache it gives another number of tensors")


@check(1, "runtime")
def check_runtime_takes_its_precisions(subject: ComponentSubject) -> None:
    """It lists 32 bits, and computes with each other number of bits that it lists: close by, and made anew the same."""
    factory: type[Runtime] = subject.component.factory()
    bits = factory.precisions("cpu")
    demand(32 in bits, f"precisions() gives {list(bits)}, without 32")
    unknown = sorted(set(bits) - {32, 16, 8})
    demand(not unknown, f"precisions() gives {unknown}; there are 32, 16 and 8")
    for precision in [number for number in bits if number != 32]:
        for keep_float in (), ("network.heatmap",):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                context = replace(
                    _make_context(Path(name) / "cache"),
                    precision=precision,
                    calibration=lambda: [_make_tensors(1, 64, 64) for _ in range(4)],
                    keep_float=keep_float,
                )
                tensors = _make_tensors(1, 64, 64)
                wanted = _compute(context.network, tensors)
                found = _make_runtime(subject, context).run(tensors)
                what = f"with {precision} bits"
                problem = find_difference(found, wanted, precision) or _find_far(found, wanted)
                demand(problem is None, f"{what} it gives {problem}")
                # What was compared on images of a run must be what is used from then on.
                again = _make_runtime(subject, replace(context, calibration=None)).run(tensors)
                same = all(map(torch.equal, again, found))
                demand(same, f"{what} it gives other numbers when it is made anew over the same cache")


def _find_far(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> str | None:
    """Say where tensors are no likeness of others: further off in the mean than a quarter of their spread."""
    for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
        off, spread = float((one - other).abs().mean()), float(other.std())
        if not off <= 0.25 * spread:
            return f"tensor {i} off by {off:.3g} in the mean, where the standard deviation is {spread:.3g}"
    return None


CHECKS = (
    check_runtime_computes_the_network,
    check_runtime_keeps_its_hands_off,
    check_runtime_survives_its_cache,
    check_runtime_takes_its_precisions,
)
