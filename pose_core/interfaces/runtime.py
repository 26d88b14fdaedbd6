"""Runtime: a network and an example of its input in, what computes the same tensors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from pose_core.specs.components import RuntimeConfig


@dataclass(frozen=True, eq=False)
class RuntimeContext:
    """A network, and what a runtime may know of it.

    Attributes:
        network: ``network(*tensors) -> tuple of tensors``, in evaluation mode, on the device.
        inputs: names of the tensors that go in: ``image``, then extra inputs.
        example: such tensors, two images: (2, 3, H, W) float32 ``image``, normalised; of a detector RGB in [0, 1].
        fixed_size: whether H and W are always those of the example; else any multiples of ``size_multiple``.
        size_multiple: see ``fixed_size``.
        device: where it is to compute.
        cache: folder for what takes long to make, of this network (its weights, configuration and the versions of
            torch and pose_core) and this runtime alone; it may not exist, and may be deleted at any time. Write whole
            files only: another process may read them.
        name: of the network, for messages.
        precision: bits that it is to compute with, one of :meth:`Runtime.precisions`.
        calibration: gives the tensors that go in for images of the training, of one image each: a network of 8 bits is
            made by them. Ask only for what the cache does not hold. None: there are none.
        keep_float: names of parts of the network (``model.heads``) that stay in float32 where the precision is 8.
        differs: says in a few words how outputs (the first argument) differ from those of the network (the second) by
            more than they may; None where they do not. Without it numbers are compared one by one, within a thousandth
            of the largest. Of a detector, boxes may be in another order where their scores are nearly equal.
    """

    network: nn.Module
    inputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    fixed_size: bool
    size_multiple: int
    device: torch.device
    cache: Path
    name: str
    precision: int = 32
    calibration: Callable[[], Sequence[tuple[Tensor, ...]]] | None = None
    keep_float: tuple[str, ...] = ()
    differs: Callable[[Sequence[Tensor], Sequence[Tensor]], str | None] | None = None


class Runtime(ABC):
    """Computes what a network computes, from the normalised image to the tensors of its heads.

    Whatever is around it (decoding of videos, crops, normalisation, decoding of the tensors) is the core's. After
    it was made, the core compares it with the network itself on the example. One that differs is made anew with an
    empty cache, and refused where it differs still.

    Raise a :class:`~pose_core.errors.PoseError` of one line for a network or a device that it cannot take.

    Attributes:
        packages: module -> distribution of what it needs beyond what its plugin requires; a missing one is refused
            with the command that installs it.
        channels_last: whether the channels of a pixel lie side by side in memory in the images of the example and of
            :meth:`run`, as PyTorch computes fastest; else each channel lies by itself. The shape is the same.
        preparation: seconds that it takes, about, to make what it keeps of a network. ``auto`` tries it where a
            prediction is much longer.

    Args:
        config: of the runtime.
        context: the network.
    """

    packages: ClassVar[Mapping[str, str]] = {}
    channels_last: ClassVar[bool] = False
    preparation: ClassVar[float] = 20.0

    def __init__(self, config: RuntimeConfig, context: RuntimeContext) -> None:
        self.context = context

    @classmethod
    @abstractmethod
    def devices(cls) -> Sequence[str]:
        """List the types of device that it computes on here and now: ``cpu``, ``cuda``, ``mps``."""

    @classmethod
    def precisions(cls, device: str) -> Sequence[int]:
        """List the bits that it can compute with on a type of device: 32, 16, 8. What it lists it must take."""
        return (32,)

    @abstractmethod
    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute the network.

        Args:
            tensors: as the example, but of any number of images from 1 up; not to be changed.

        Returns:
            what the network gives for them, in its order, on their device; new tensors at each call.
        """
