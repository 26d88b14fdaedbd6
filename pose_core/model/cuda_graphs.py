"""PyTorch on a GPU, with the work of each frequent shape recorded once and launched as one CUDA graph.

A small network on a large GPU waits for Python, which starts hundreds of kernels one after the other. A graph starts
the same kernels at once (torch.cuda.CUDAGraph; NVIDIA, CUDA C++ Programming Guide, CUDA Graphs).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pose_core.interfaces import RuntimeContext
from pose_core.model.runner import find_difference
from pose_core.model.runtime_config import CudaGraphsRuntimeConfig
from pose_core.model.shape_graphs import Compute, ShapeGraphs
from pose_core.model.torch_runtime import TorchRuntime

_WARM_UP = 3


class CudaGraphsRuntime(TorchRuntime):
    """The network itself, started as CUDA graphs for shapes that come often, as it is for others.

    Args:
        config: how many shapes.
        context: the network.
    """

    replaces_network = True

    def __init__(self, config: CudaGraphsRuntimeConfig, context: RuntimeContext) -> None:
        super().__init__(config, context)
        self._graphs = ShapeGraphs(
            self.compute, CudaCapture(context.device), self._find_difference, config.shapes, context.name
        )

    @classmethod
    def devices(cls) -> Sequence[str]:
        """A GPU of CUDA."""
        return ["cuda"] if torch.cuda.is_available() else []

    @torch.inference_mode()
    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute the network, by the graph of this shape where there is one."""
        return self._graphs.run(tensors)

    def _find_difference(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> str | None:
        return find_difference(found, wanted, self.context.precision)


class CudaCapture:
    """Records networks as CUDA graphs, which share memory; a :data:`~pose_core.model.shape_graphs.Capture`.

    Graphs that are replayed one after the other may share a pool in any order, as long as what one gave was copied
    before the next. All replays must be on one stream, as predictions of the core are.

    Args:
        device: of CUDA.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Torch's class for streams states no types.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Compute, tensors: Sequence[Tensor]) -> CudaGraph:
        """Record what the device does for tensors of these shapes.

        Raises:
            RuntimeError: an operation waits for the device, or there is not enough memory.
        """
        # Zeros: what depends on values, and would be recorded with them, shows when the graph gets other values.
        inputs = [torch.zeros_like(tensor) for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            # Around the recording, too: one that fails leaves its own stream the current one.
            with torch.cuda.stream(self._stream):
                # Libraries allocate and choose algorithms at first use of a stream, which cannot be recorded.
                for _ in range(_WARM_UP):
                    compute(inputs)
                # Other threads of the pipeline allocate pinned memory at the same time, which "global" would refuse.
                with torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                ):
                    outputs = compute(inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
        return CudaGraph(graph, inputs, outputs)


class CudaGraph:
    """A recorded network; a :class:`~pose_core.model.shape_graphs.Graph`.

    Args:
        graph: that was recorded.
        inputs: that it reads.
        outputs: that it writes.
    """

    def __init__(
        self, graph: torch.cuda.CUDAGraph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> None:
        self._graph = graph
        self._inputs = inputs
        self._outputs = outputs

    def replay(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute tensors of its shape; the next replay overwrites what comes out."""
        for own, given in zip(self._inputs, tensors, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._outputs

    def close(self) -> None:
        """Free its memory."""
        torch.cuda.synchronize(self._inputs[0].device)
        self._graph.reset()
