"""ONNX Runtime as a runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import Runtime, RuntimeContext
from pose_onnxruntime.config import OnnxRuntimeConfig
from pose_onnxruntime.export import export

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_FLOAT = "tensor(float)"

LARGE = 1 << 18
"""Pixels of an image from which two are computed side by side, each by half of the threads.

Threads that share an image wait for each other at each layer. On two cores this took 0.86 of the time for cspnext_s and
0.87 for resnet_50, from video to keypoints, 640 x 480. Crops of 256 x 256 are faster together, and OpenVINO gains too
little by it (0.93 to 1.0) for a second compiled model.
"""

Array = np.ndarray[Any, Any]


@dataclass
class _Sessions:
    """Sessions over a file.

    Attributes:
        path: of the file.
        together: for batches that all threads compute together.
        lane: for images of a batch of large ones, which are computed side by side; None until one comes.
    """

    path: Path
    together: onnxruntime.InferenceSession
    lane: onnxruntime.InferenceSession | None = None


def count_lanes(images: Tensor, threads: int) -> int:
    """Count the images of a batch (B, C, H, W) that are to be computed side by side: 1 or 2."""
    large = images.shape[-2] * images.shape[-1] >= LARGE and len(images) > 1
    return 2 if large and threads > 1 and images.device.type == "cpu" else 1


class OnnxRuntime(Runtime):
    """A session of ONNX Runtime over a file that is exported once and kept in the cache.

    A network that fixes the sides of its images when it is exported gets a file for each size that comes up.
    """

    def __init__(self, config: OnnxRuntimeConfig, context: RuntimeContext) -> None:
        super().__init__(config, context)
        self._threads = config.threads or torch.get_num_threads()
        self._fixed: dict[tuple[int, int], _Sessions] = {}
        # Two different versions may write different files, and one may not read what the other wrote.
        self._folder = context.cache / f"onnxruntime-{onnxruntime.__version__}"
        self._any = self._open("network.onnx", context.example)
        self._fixes_sides = not context.fixed_size and self._sides_of(self._any.together) is not None
        self._lanes: Executor | None = None

    @classmethod
    def devices(cls) -> Sequence[str]:
        """List the devices whose execution providers are installed."""
        available = onnxruntime.get_available_providers()
        return [device for device, provider in _PROVIDERS.items() if provider in available]

    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the session."""
        sessions = self._sessions_for(tensors) if self._fixes_sides else self._any
        device = tensors[0].device
        given = dict(zip(self.context.inputs, tensors, strict=True))
        # By name: an input that the network does not use is not in the file.
        names = [put.name for put in sessions.together.get_inputs()]
        feed = {name: given[name].float().contiguous().cpu().numpy() for name in names}
        lanes = count_lanes(tensors[0], self._threads)
        found = sessions.together.run(None, feed) if lanes == 1 else self._run_lanes(sessions, feed, lanes)
        return [torch.from_numpy(each).to(device) for each in found]

    def _run_lanes(self, sessions: _Sessions, feed: Mapping[str, Array], lanes: int) -> list[Array]:
        """Compute images one by one, several at a time."""
        if sessions.lane is None:
            sessions.lane = self._make_session(sessions.path, self._threads // lanes)
        if self._lanes is None:
            self._lanes = ThreadPoolExecutor(lanes, "pose-onnxruntime")
        session, count = sessions.lane, len(next(iter(feed.values())))

        def run_one(row: int) -> list[Array]:
            outputs: list[Array] = session.run(None, {name: a[row : row + 1] for name, a in feed.items()})
            return outputs

        return [np.concatenate(each) for each in zip(*self._lanes.map(run_one, range(count)), strict=True)]

    def _sessions_for(self, tensors: Sequence[Tensor]) -> _Sessions:
        height, width = tensors[0].shape[-2:]
        if (height, width) == self._sides_of(self._any.together):
            return self._any
        if (height, width) not in self._fixed:
            # Exported with two images: of one, the exporter would take the number for a constant.
            twice = [torch.cat([t[:1], t[:1]]).clone() for t in tensors]
            self._fixed[height, width] = self._open(f"network-{height}x{width}.onnx", twice)
        return self._fixed[height, width]

    def _open(self, name: str, example: Sequence[Tensor]) -> _Sessions:
        context, path = self.context, self._folder / name
        for again in (False, True):
            if again or not path.is_file():
                export(
                    context.network,
                    example,
                    context.inputs,
                    path,
                    fixed_size=context.fixed_size,
                    refusal=f"runtime onnxruntime: {context.name} cannot be exported to ONNX",
                    advice="use the runtime torch",
                )
            try:
                return _Sessions(path, self._make_session(path, self._threads))
            # Its errors have no class in common that it makes public. A file that was just written is no
            # damaged one.
            except Exception as error:
                if again:
                    reason = str(error).strip().splitlines()[0]
                    raise ConfigError(
                        f"runtime onnxruntime: cannot run {context.name}: {reason}; use the runtime torch"
                    ) from error
        raise AssertionError("the second round returns or raises")

    def _make_session(self, path: Path, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait by spinning take the cores from those that decode the next frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = [_PROVIDERS[self.context.device.type]]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        if used := [put for put in session.get_inputs() if put.type != _FLOAT]:
            raise ConfigError(f"input {used[0].name} of {self.context.name} is {used[0].type}, not {_FLOAT}")
        return session

    @staticmethod
    def _sides_of(session: onnxruntime.InferenceSession) -> tuple[int, int] | None:
        """Height and width that the file is for; None where it takes others."""
        height, width = session.get_inputs()[0].shape[-2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None
