"""Whether a device gives what the CPU gives, runtimes what the network gives, decoders what our reader gives."""

from __future__ import annotations

import time

import numpy as np
import torch
from gpu_session import Session, draw, make_run
from torch import Tensor

from pose_core.catalog import find_missing_package, get_catalog
from pose_core.errors import PoseError
from pose_core.model.assemble import Outputs, PoseModel
from pose_core.model.runner import make_example, make_pixels, use_runtime
from pose_core.model.torch_runtime import AutoRuntime, TorchRuntime
from pose_core.pipeline.computing import parse_runtime
from pose_core.pipeline.torchcodec_video import TorchcodecSource
from pose_core.pipeline.video import VideoSource
from pose_core.reporting import LogReporter, set_reporter
from pose_core.synthetic.encode import write_video
from pose_core.testing.conformance import FAILED, Item, items
from pose_core.testing.conformance import run as run_check

_CALLS = 6
"""Of a runtime with one shape; a graph is recorded at the third."""


def compare_devices(session: Session) -> None:
    """Compare the outputs of networks on CPU and device, and those of 16 bits with those of 32."""
    for method, name in session.sizes.models:
        if not session.has_time(f"parity of {name}", 10):
            continue
        own = make_run(session, method, name).load_model("cpu")
        images, *extra = make_example(own)
        wanted = _compute(own, images, extra)
        moved = own.to(session.device)
        on_device = [tensor.to(session.device) for tensor in (images, *extra)]
        # TF32 has 10 bits of mantissa, and is what cuDNN computes float32 convolutions in by default.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            exact = _compute(moved, on_device[0], on_device[1:])
        usual = _compute(moved, on_device[0], on_device[1:])
        half = torch.float16 if session.device.type == "cuda" else torch.bfloat16
        with torch.autocast(session.device.type, half):
            halved = _compute(moved, on_device[0], on_device[1:])
        session.add(
            "parity",
            model=name,
            method=method,
            float32_off=_find_largest(exact, wanted),
            default_off=_find_largest(usual, wanted),
            half_off=_find_largest(halved, wanted),
        )


class _Notes(LogReporter):
    """Keeps notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


def compare_runtimes(session: Session) -> None:
    """Compare every runtime of the device with the network, on values that change from call to call.

    CUDA graphs are replayed from the fourth call on, and may not give what they gave before.
    """
    for component in get_catalog().components("runtime"):
        factory = component.factory()
        if factory in (TorchRuntime, AutoRuntime):
            continue
        if find_missing_package(factory) is not None or session.device.type not in factory.devices():
            session.leave_out(f"runtime {component.name}: does not compute on {session.device.type} here")
            continue
        # Of 8 bits the validation images of a run tell, and none of these has any.
        for precision in [bits for bits in factory.precisions(session.device.type) if bits != 8]:
            for method, name in session.sizes.models:
                what = f"runtime {component.name} with {precision} bits: {name}"
                if session.has_time(what, factory.preparation):
                    _compare_runtime(session, component.full_name, precision, method, name)


def _compare_runtime(session: Session, runtime: str, precision: int, method: str, name: str) -> None:
    model = make_run(session, method, name).load_model(session.device)
    images, *rest = make_pixels(model)
    extra = dict(zip(model.inputs, rest, strict=True))
    cache = session.folder / "runtimes" / f"{name}-{method}-{precision}"
    notes = _Notes()
    before = set_reporter(notes)
    try:
        use_runtime(model, parse_runtime(runtime, "runtime"), cache, name, precision)
        assert model.compute is not None
        kept, largest = [], 0.0
        with torch.inference_mode():
            for call in range(_CALLS):
                # Other images each time, so that what is overwritten shows.
                seen = images.roll(call, dims=-1)
                found = _flatten(model.compute(seen, extra))
                kept.append((found, [tensor.clone() for tensor in found]))
                with torch.autocast(session.device.type, torch.float16, enabled=precision == 16):
                    wanted = _flatten(model(model.normalise(seen), **extra))
                largest = max(largest, _find_largest(_to_host(found), _to_host(wanted)))
        overwritten = not all(
            torch.equal(a, b) for one, other in kept for a, b in zip(one, other, strict=True)
        )
    finally:
        set_reporter(before)
    session.add(
        "runtimes",
        model=name,
        method=method,
        runtime=runtime,
        precision=precision,
        off=largest,
        overwritten=overwritten,
        notes=notes.lines,
    )


def compare_decoding(session: Session) -> None:
    """Compare frames that torchcodec decodes, on the device where it is a GPU, with those of our own reader."""
    path = session.folder / "decoded.mp4"
    write_video(path, draw(session.sizes.frames, session.sizes.frame))
    try:
        theirs = TorchcodecSource(path, session.device, threads=0)
    except PoseError as error:
        session.leave_out(f"decoding by torchcodec: {error}")
        return
    ours = VideoSource(path, threads=0)
    began = time.perf_counter()
    wanted = [(frame.index, frame.time, frame.load()) for frame in ours.read() if frame.load is not None]
    our_seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = []
    for frame in theirs.read():
        assert frame.load is not None
        found.append((frame.index, frame.time, frame.load() if frame.on_device is None else frame.on_device))
    session.wait()
    seconds = time.perf_counter() - began
    off = [
        np.abs(np.asarray(torch.as_tensor(one).cpu(), np.int16) - other)
        for (_, _, one), (_, _, other) in zip(found, wanted, strict=False)
    ]
    session.add(
        "decoding",
        decoder="torchcodec",
        on_device=isinstance(found[0][2], Tensor),
        frames=len(found),
        same_numbers_and_times=[frame[:2] for frame in found] == [frame[:2] for frame in wanted],
        largest_grey_levels=max(int(each.max()) for each in off),
        mean_grey_levels=float(np.mean([each.mean() for each in off])),
        frames_per_second=len(found) / seconds,
        our_frames_per_second=len(wanted) / our_seconds,
    )


def check_plugins(session: Session) -> None:
    """Run the checks of levels 3 and 1 of all plugins; first those that only a GPU can answer."""
    names = session.sizes.plugins or tuple(sorted({c.plugin.name for c in get_catalog().components()}))
    checks: list[Item] = [item for name in names for item in items(name, {1, 3})]
    order = {"runs_on_a_gpu": 0, "mixed_precision": 1, "channels_last": 2}
    checks.sort(key=lambda item: (order.get(item.check.name, 4 - item.check.level), item.id))
    counts: dict[str, int] = {}
    for done, item in enumerate(checks):
        if not session.has_time(f"{len(checks) - done} checks from {item.id}"):
            break
        outcome = run_check(item)
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        if outcome.status == FAILED:
            session.add("conformance", plugin=outcome.plugin, check=outcome.id, reason=outcome.reason)
    session.add("conformance", plugins=len(names), checks=len(checks), **counts)


def _compute(model: PoseModel, images: Tensor, extra: list[Tensor]) -> list[Tensor]:
    with torch.inference_mode():
        found = model(images, **dict(zip(model.inputs, extra, strict=True)))
    return _to_host(_flatten(found))


def _flatten(outputs: Outputs) -> list[Tensor]:
    return [tensor for tensors in outputs.values() for tensor in tensors.values()]


def _to_host(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.float().cpu() for tensor in tensors]


def _find_largest(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, as a fraction of the largest value of its tensor."""
    return max(
        float((one - other).abs().max() / other.abs().max().clamp(min=1e-6))
        for one, other in zip(found, wanted, strict=True)
    )
