"""ONNX Runtime as a runtime."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import Runtime, RuntimeContext
from pose_onnxruntime.config import OnnxRuntimeConfig
from pose_onnxruntime.export import export

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_FLOAT = "tensor(float)"


class OnnxRuntime(Runtime):
    """A session of ONNX Runtime over a file that is exported once and kept in the cache.

    A network that fixes the sides of its images when it is exported gets a file for each size that comes up.
    """

    def __init__(self, config: OnnxRuntimeConfig, context: RuntimeContext) -> None:
        super().__init__(config, context)
        self._threads = config.threads or torch.get_num_threads()
        self._fixed: dict[tuple[int, int], onnxruntime.InferenceSession] = {}
        # Two different versions may write different files, and one may not read what the other wrote.
        self._folder = context.cache / f"onnxruntime-{onnxruntime.__version__}"
        self._session = self._open("network.onnx", context.example)
        self._fixes_sides = not context.fixed_size and self._sides_of(self._session) is not None

    @classmethod
    def devices(cls) -> Sequence[str]:
        """List the devices whose execution providers are installed."""
        available = onnxruntime.get_available_providers()
        return [device for device, provider in _PROVIDERS.items() if provider in available]

    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the session."""
        session = self._session
        if self._fixes_sides:
            session = self._session_for(tensors)
        device = tensors[0].device
        given = dict(zip(self.context.inputs, tensors, strict=True))
        # By name: an input that the network does not use is not in the file.
        names = [put.name for put in session.get_inputs()]
        feed = {name: given[name].float().contiguous().cpu().numpy() for name in names}
        return [torch.from_numpy(found).to(device) for found in session.run(None, feed)]

    def _session_for(self, tensors: Sequence[Tensor]) -> onnxruntime.InferenceSession:
        height, width = tensors[0].shape[-2:]
        if (height, width) == self._sides_of(self._session):
            return self._session
        if (height, width) not in self._fixed:
            # Exported with two images: of one, the exporter would take the number for a constant.
            twice = [torch.cat([t[:1], t[:1]]).clone() for t in tensors]
            self._fixed[height, width] = self._open(f"network-{height}x{width}.onnx", twice)
        return self._fixed[height, width]

    def _open(self, name: str, example: Sequence[Tensor]) -> onnxruntime.InferenceSession:
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
                return self._make_session(str(path))
            # Its errors have no class in common that it makes public. A file that was just written is no
            # damaged one.
            except Exception as error:
                if again:
                    reason = str(error).strip().splitlines()[0]
                    raise ConfigError(
                        f"runtime onnxruntime: cannot run {context.name}: {reason}; use the runtime torch"
                    ) from error
        raise AssertionError("the second round returns or raises")

    def _make_session(self, path: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Threads that wait by spinning take the cores from those that decode the next frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = [_PROVIDERS[self.context.device.type]]
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        if used := [put for put in session.get_inputs() if put.type != _FLOAT]:
            raise ConfigError(f"input {used[0].name} of {self.context.name} is {used[0].type}, not {_FLOAT}")
        return session

    @staticmethod
    def _sides_of(session: onnxruntime.InferenceSession) -> tuple[int, int] | None:
        """Height and width that the file is for; None where it takes others."""
        height, width = session.get_inputs()[0].shape[-2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None
