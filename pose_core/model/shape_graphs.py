"""Choose which shapes of input are computed by recorded graphs, and which as they come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pose_core.reporting import current_reporter

Compute = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Computes a network: tensors in, tensors out."""

Shape = tuple[tuple[torch.Size, torch.dtype], ...]

USES = 3
"""A shape is recorded when it comes for this time: the last batch of a video comes once."""

IDLE = 500
"""Computations without one of its uses after which a graph gives its place to another."""

_COUNTED = 64


class Graph(Protocol):
    """What a device was recorded to do for one shape."""

    def replay(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute tensors of that shape. The next replay overwrites what comes out."""

    def close(self) -> None:
        """Free its memory, once the device has computed what it was given."""


Capture = Callable[[Compute, Sequence[Tensor]], Graph]
"""Records what a device does for tensors of these shapes, whatever their values; raises RuntimeError where that cannot
be recorded."""


class ShapeGraphs:
    """Computes a network by graphs for shapes that come often. May be used by several threads, one at a time.

    A new graph is compared with the network on the tensors that it is recorded for. Where recording fails, or what is
    recorded computes something else, a note says so, and nothing is recorded from then on.

    Args:
        compute: the network.
        capture: records it.
        differs: says how outputs (the first argument) differ from those of the network (the second); None: they do not.
        limit: of the shapes that have a graph at a time.
        name: of the network, for messages.
    """

    def __init__(
        self,
        compute: Compute,
        capture: Capture,
        differs: Callable[[Sequence[Tensor], Sequence[Tensor]], str | None],
        limit: int,
        name: str,
    ) -> None:
        self._compute = compute
        self._capture = capture
        self._differs = differs
        self._limit = limit
        self._name = name
        self._failed = False
        self._calls = 0
        # The one that was used last stands last.
        self._graphs: OrderedDict[Shape, Graph] = OrderedDict()
        self._used: dict[Shape, int] = {}
        self._counts: OrderedDict[Shape, int] = OrderedDict()
        # Inputs and outputs of a graph lie where they lay when it was recorded, and all graphs share memory.
        self._lock = threading.Lock()

    @property
    def shapes(self) -> list[Shape]:
        """Shapes that have a graph."""
        return list(self._graphs)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Compute the network; new tensors in float32 at each call."""
        shape = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        with self._lock:
            self._calls += 1
            if (graph := self._graphs.get(shape)) is None:
                found = self._compute(tensors)
                if self._is_due(shape):
                    self._record(shape, tensors, found)
                return [tensor.float() for tensor in found]
            self._graphs.move_to_end(shape)
            self._used[shape] = self._calls
            # Copies, in the order of the stream: the next replay writes into the same memory.
            return [tensor.to(torch.float32, copy=True) for tensor in graph.replay(tensors)]

    def _is_due(self, shape: Shape) -> bool:
        if self._failed:
            return False
        self._counts[shape] = self._counts.pop(shape, 0) + 1
        # A folder of images may have thousands of sizes.
        if len(self._counts) > _COUNTED:
            self._counts.popitem(last=False)
        if self._counts[shape] < USES:
            return False
        if len(self._graphs) < self._limit:
            return True
        oldest = next(iter(self._graphs))
        return self._calls - self._used[oldest] > IDLE

    def _record(self, shape: Shape, tensors: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
        if len(self._graphs) >= self._limit:
            idle, graph = self._graphs.popitem(last=False)
            del self._used[idle]
            graph.close()
        try:
            graph = self._capture(self._compute, tensors)
            problem = self._differs(graph.replay(tensors), wanted)
        except RuntimeError as error:
            problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if problem is None:
            self._graphs[shape], self._used[shape] = graph, self._calls
            del self._counts[shape]
            return
        # What cannot be recorded at one size can hardly be at another, and each attempt stops the device.
        self._failed = True
        sizes = ", ".join(" x ".join(map(str, size)) for size, _ in shape)
        current_reporter().note(
            f"note: {self._name} cannot be recorded as a CUDA graph for tensors of {sizes} ({problem}); PyTorch "
            "computes such tensors as without graphs"
        )
