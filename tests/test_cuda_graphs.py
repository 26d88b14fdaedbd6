"""Which shapes are recorded, what comes out, what happens where recording fails; CUDA itself where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import pose_core
from pose_core.errors import ConfigError
from pose_core.interfaces import RuntimeContext
from pose_core.model.runner import find_difference
from pose_core.model.runtime_config import CudaGraphsRuntimeConfig
from pose_core.model.shape_graphs import IDLE, USES, Compute, ShapeGraphs
from pose_core.reporting import set_reporter
from tests.conftest import PoseCommand
from tests.helpers.tiny_run import make_run


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Nothing here takes long."""


@pytest.fixture
def notes() -> Iterator[list[str]]:
    reporter = Notes()
    before = set_reporter(reporter)
    yield reporter.lines
    set_reporter(before)


class Recorded:
    """As a graph of CUDA: reads and writes the same memory each time, and looks at no Python in between."""

    def __init__(self, compute: Compute, tensors: Sequence[Tensor]) -> None:
        self.inputs = [torch.zeros_like(tensor) for tensor in tensors]
        self.compute = compute
        self.outputs = [tensor.clone() for tensor in compute(self.inputs)]
        self.closed = False
        self.replays = 0

    def replay(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        assert not self.closed
        self.replays += 1
        for own, new in zip(self.inputs, tensors, strict=True):
            own.copy_(new)
        for output, new in zip(self.outputs, self.compute(self.inputs), strict=True):
            output.copy_(new)
        return self.outputs

    def close(self) -> None:
        self.closed = True


class Recorder:
    """Keeps what was recorded."""

    def __init__(self) -> None:
        self.graphs: list[Recorded] = []

    def __call__(self, compute: Compute, tensors: Sequence[Tensor]) -> Recorded:
        self.graphs.append(Recorded(compute, tensors))
        return self.graphs[-1]


def double(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [2 * tensors[0] + 1, tensors[0].half()]


def make(
    capture: Callable[[Compute, Sequence[Tensor]], Recorded], limit: int = 2, compute: Compute = double
) -> ShapeGraphs:
    return ShapeGraphs(compute, capture, find_difference, limit, "tiny")


def images(count: int, seed: int = 0) -> list[Tensor]:
    return [torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))]


def check(found: Sequence[Tensor], given: Sequence[Tensor]) -> None:
    for one, other in zip(found, double(given), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other.float(), rtol=0, atol=0)


def test_a_shape_is_recorded_when_it_comes_often_and_not_again() -> None:
    recorder = Recorder()
    graphs = make(recorder)
    for call in range(USES + 3):
        assert len(recorder.graphs) == (call >= USES)
        check(graphs.run(images(2, call)), images(2, call))
    (graph,) = recorder.graphs
    # Once to be compared, and for each call after it was recorded.
    assert graph.replays == 1 + 3


def test_what_comes_out_is_not_overwritten_by_the_next_call() -> None:
    graphs = make(Recorder())
    for _ in range(USES):
        graphs.run(images(2))
    kept = [(graphs.run(images(2, seed)), seed) for seed in range(1, 5)]
    for found, seed in kept:
        check(found, images(2, seed))


def test_inputs_are_not_changed_nor_handed_out() -> None:
    graphs = make(Recorder(), compute=lambda tensors: [tensors[0]])
    for _ in range(USES + 1):
        given = images(2, 3)
        (found,) = graphs.run(given)
        torch.testing.assert_close(given[0], images(2, 3)[0], rtol=0, atol=0)
    assert found.data_ptr() != given[0].data_ptr()


@given(st.lists(st.integers(1, 6), max_size=60), st.integers(1, 3))
def test_any_order_of_shapes_gives_what_the_network_gives(counts: list[int], limit: int) -> None:
    recorder = Recorder()
    graphs = make(recorder, limit)
    for seed, count in enumerate(counts):
        check(graphs.run(images(count, seed)), images(count, seed))
        assert len(graphs.shapes) <= limit
    often = {count for count in counts if counts.count(count) >= USES}
    assert len(graphs.shapes) == min(limit, len(often))


def test_a_graph_that_is_no_longer_used_gives_its_place_away() -> None:
    recorder = Recorder()
    graphs = make(recorder, limit=1)
    for _ in range(USES):
        graphs.run(images(1))
    for _ in range(IDLE):
        graphs.run(images(2))
    assert [graph.closed for graph in recorder.graphs] == [False]
    for _ in range(2):
        check(graphs.run(images(2)), images(2))
    assert [graph.closed for graph in recorder.graphs] == [True, False]
    check(graphs.run(images(1)), images(1))


def test_what_cannot_be_recorded_is_computed_without_and_a_note_says_so_once(notes: list[str]) -> None:
    attempts = []

    def refuse(compute: Compute, tensors: Sequence[Tensor]) -> Recorded:
        attempts.append(len(tensors[0]))
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")

    graphs = make(refuse)
    for call in range(2 * USES):
        for count in (1, 2):
            check(graphs.run(images(count, call)), images(count, call))
    assert attempts == [1]
    (line,) = notes
    assert line.startswith(
        "note: tiny cannot be recorded as a CUDA graph for tensors of 1 x 3 x 8 x 8 (operation "
    )
    assert line.endswith("is capturing); PyTorch computes such tensors as without graphs")


def test_a_graph_that_computes_something_else_is_not_used(notes: list[str]) -> None:
    def record_values(compute: Compute, tensors: Sequence[Tensor]) -> Recorded:
        """As where a network makes constants of what it saw while it was recorded."""
        constant = compute([torch.zeros_like(tensor) for tensor in tensors])
        return Recorded(lambda _: constant, tensors)

    graphs = make(record_values)
    for call in range(2 * USES):
        check(graphs.run(images(2, call)), images(2, call))
    assert not graphs.shapes
    (line,) = notes
    assert "tensor 0 is off by" in line


def test_without_a_gpu_it_is_refused_in_one_line_and_listed(tmp_path: Path, pose: PoseCommand) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(
        ConfigError, match=r"runtime cuda_graphs: does not compute on cpu here, nor on any"
    ) as raised:
        pose_core.load(make_run(tmp_path / "run"), "cpu", runtime="cuda_graphs")
    assert "\n" not in str(raised.value)
    listed = pose("runtimes").stdout
    (row,) = [line for line in listed.splitlines() if line.startswith("cuda_graphs")]
    assert "none here" in row
    assert "pip install" not in row


class Waits(nn.Module):
    """Asks the device for a value, which no graph can do."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return (tensors[0] * float(tensors[0].mean()),)


class Convolves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 3))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = self.layers(tensors[0])
        return found, found.sigmoid()


def make_context(network: nn.Module, cache: Path, precision: int = 32) -> RuntimeContext:
    device = torch.device("cuda")
    example = (torch.rand(2, 3, 64, 64, device=device),)
    network = network.to(device).eval()
    return RuntimeContext(network, ("image",), example, False, 32, device, cache, "it", precision)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")


@needs_gpu
@pytest.mark.parametrize("precision", [32, 16])
def test_graphs_of_cuda_equal_the_network(precision: int, tmp_path: Path, notes: list[str]) -> None:
    from pose_core.model.cuda_graphs import CudaGraphsRuntime

    context = make_context(Convolves(), tmp_path, precision)
    runtime = CudaGraphsRuntime(CudaGraphsRuntimeConfig(type="core/cuda_graphs", shapes=2), context)
    for seed in range(3 * USES):
        for count in (1, 4, 2):
            given = [torch.rand(count, 3, 64, 96, device="cuda")]
            found = runtime.run(given)
            with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=precision == 16):
                wanted = context.network(*given)
            assert find_difference(found, wanted, precision) is None, seed
    assert not notes


@needs_gpu
def test_after_a_network_that_cuda_cannot_record_everything_goes_on(tmp_path: Path, notes: list[str]) -> None:
    from pose_core.model.cuda_graphs import CudaGraphsRuntime

    context = make_context(Waits(), tmp_path)
    stream = torch.cuda.current_stream()
    runtime = CudaGraphsRuntime(CudaGraphsRuntimeConfig(type="core/cuda_graphs"), context)
    for _ in range(2 * USES):
        (found,) = runtime.run(context.example)
        torch.testing.assert_close(found, context.network(*context.example)[0])
    assert len(notes) == 1
    assert torch.cuda.current_stream() == stream
    # The generator of the device is told of recordings, and of their end.
    assert torch.rand(3, device="cuda").isfinite().all()
