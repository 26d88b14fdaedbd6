"""OpenVINO as a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import openvino
import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import Runtime, RuntimeContext
from pose_openvino.compute import compile_model, has_bfloat16, infer
from pose_openvino.config import OpenVinoConfig
from pose_openvino.convert import convert, find_reason, load_or_make
from pose_openvino.core import get_core
from pose_openvino.quantize import quantize

_TOLERANCE = 1e-3

Sides = tuple[int, int]


class OpenVinoRuntime(Runtime):
    """A compiled model that is converted once and kept in the cache.

    The converter follows the network with an example. What the network computes from the size of its images (masks of
    shifted windows ...) may be fixed by that, without a word. So the first image of each new size goes through the
    network as well, and a network that fixes the size gets a model for each size.

    Numbers of images that change are left to OpenVINO: a model for any number was as fast as one for each
    (unet 256 x 320: 251 against 187 ms for 3 images, 120 against 136 for 1, on a loaded machine, where these differ as
    much between two runs), and padding to a few numbers computes images that nobody asked for.
    """

    preparation: ClassVar[float] = 5.0

    def __init__(self, config: OpenVinoConfig, context: RuntimeContext) -> None:
        super().__init__(config, context)
        self._core = get_core()
        self._threads = config.threads
        # One version may not read what another wrote.
        self._folder = context.cache / f"openvino-{openvino.__version__.partition('-')[0]}"
        self._model = self._load("network", context.example)
        self._float = self._compile(self._model)
        if context.precision == 32:
            self._any = self._float
        else:
            self._any = self._compile(
                self._quantize() if context.precision == 8 else self._model, context.precision
            )
        self._of_size: dict[Sides, openvino.CompiledModel] = {_sides(context.example): self._any}

    @classmethod
    def devices(cls) -> Sequence[str]:
        """List the devices: the CPU, where OpenVINO has its plugin."""
        return ["cpu"] if "CPU" in get_core().available_devices else []

    @classmethod
    def precisions(cls, device: str) -> Sequence[int]:
        """List 32 and 8 bits, and 16 where the processor has bfloat16."""
        return (32, 16, 8) if has_bfloat16(get_core()) else (32, 8)

    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the compiled model."""
        sides = _sides(tensors)
        if sides not in self._of_size:
            self._of_size[sides] = self._choose(tensors)
        return _infer(self._of_size[sides], tensors)

    def _choose(self, tensors: Sequence[Tensor]) -> openvino.CompiledModel:
        """The model for images of a new size: the one for any size where it computes what the network does."""
        # Each tensor is copied, since the network may be one that changes what it is given.
        first = [tensor[:1].clone() for tensor in tensors]
        with torch.inference_mode():
            wanted = self.context.network(*first)
        if self._agrees(self._float, first, wanted):
            return self._any
        height, width = _sides(tensors)
        name = self.context.name
        if self.context.precision == 8:
            raise ConfigError(
                f"runtime openvino: {name} fixes the size of its images when it is converted, and was calibrated "
                f"with others than {width} x {height}; leave out the precision"
            )
        twice = [torch.cat([tensor, tensor]) for tensor in first]
        model = self._load(f"network-{height}x{width}", twice)
        compiled = self._compile(model)
        if not self._agrees(compiled, first, wanted):
            raise ConfigError(
                f"runtime openvino: computes something else than {name} for images of {width} x {height}; use the "
                "runtime torch"
            )
        return self._compile(model, 16) if self.context.precision == 16 else compiled

    def _agrees(
        self, model: openvino.CompiledModel, tensors: Sequence[Tensor], wanted: Sequence[Tensor]
    ) -> bool:
        try:
            found = _infer(model, tensors)
        # Shapes that do not fit together, where the size was fixed.
        except RuntimeError:
            return False
        if self.context.differs is not None:
            return self.context.differs(found, wanted) is None
        return len(found) == len(wanted) and all(
            one.shape == other.shape
            and float((one - other).abs().max()) <= _TOLERANCE * max(float(other.abs().max()), 1e-6)
            for one, other in zip(found, wanted, strict=True)
        )

    def _load(self, name: str, example: Sequence[Tensor]) -> openvino.Model:
        context = self.context
        return load_or_make(
            self._core,
            self._folder / name,
            lambda: convert(
                context.network,
                example,
                refusal=f"runtime openvino: {context.name} cannot be converted",
                advice="use the runtime torch",
            ),
        )

    def _quantize(self) -> openvino.Model:
        context = self.context
        name = "-".join(["network-8", *context.keep_float])

        def make() -> openvino.Model:
            if context.calibration is None:
                raise ConfigError(f"runtime openvino: 8 bits need images to calibrate {context.name} with")
            return quantize(self._model, context.calibration(), context.keep_float, context.name)

        return load_or_make(self._core, self._folder / name, make)

    def _compile(self, model: openvino.Model, precision: int = 32) -> openvino.CompiledModel:
        try:
            return compile_model(self._core, model, self._threads, half=precision == 16)
        except RuntimeError as error:
            raise ConfigError(
                f"runtime openvino: cannot run {self.context.name}: {find_reason(error)}; use the runtime torch"
            ) from error


def _sides(tensors: Sequence[Tensor]) -> Sides:
    height, width = tensors[0].shape[-2:]
    return height, width


def _infer(model: openvino.CompiledModel, tensors: Sequence[Tensor]) -> list[Tensor]:
    return infer(model, [tensor.float() for tensor in tensors])
