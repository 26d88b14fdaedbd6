"""Exporter: a network in, a file out that other programs compute it from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from pose_core.specs.components import ExporterConfig

RunFile = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Computes an exported network: its inputs in their order -> its outputs in theirs, all on the CPU."""


@dataclass(frozen=True, eq=False)
class ExporterContext:
    """A network that is to be exported, and what an exporter may know of it.

    The network begins with pixels: ``image`` is (B, H, W, 3) uint8 RGB, and normalisation is inside.

    Attributes:
        network: ``network(*tensors) -> tuple of tensors``, in evaluation mode, on the CPU.
        inputs: names of the tensors that go in: ``image``, then poses for a network that refines some.
        outputs: names of the tensors that come out.
        example: such tensors of two images.
        fixed_size: whether H and W are always those of the example; else any multiples of ``size_multiple``.
        size_multiple: see ``fixed_size``.
        name: of the network, for messages.
    """

    network: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    fixed_size: bool
    size_multiple: int
    name: str


@dataclass(frozen=True)
class WrittenNetwork:
    """What an exporter says of a file that it has written.

    Attributes:
        needs: what a program must have to compute the file: ``{"opset": 20}``; numbers and texts.
        fixed_size: whether the file takes images of the example's size only; always true where the context says so.
    """

    needs: Mapping[str, int | str]
    fixed_size: bool


class Exporter(ABC):
    """Writes networks into files, and computes such files.

    The core says what surrounds the network: it writes a contract beside the file, runs the file on images of
    the run by :meth:`open`, and compares what comes out with the network itself. A file that differs is refused.

    Raise a :class:`~pose_core.errors.PoseError` of one line for a network that cannot be written.

    Attributes:
        suffix: of the file, with the dot.
        packages: module -> distribution of what it needs beyond what its plugin requires; a missing one is refused
            with the command that installs it.

    Args:
        config: of the exporter.
    """

    suffix: ClassVar[str]
    packages: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: ExporterConfig) -> None:
        self.config = config

    @abstractmethod
    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        """Write a network.

        The file must take any number of images, whatever the example has. It may consist of several: their names
        begin with that of ``path`` without its suffix, and they name each other without their folder, so that the
        folder can be moved.

        Args:
            context: the network.
            path: of the file; its folder is there and empty of files of that name.

        Raises:
            ConfigError: the network holds something that this kind of file cannot.
        """

    @abstractmethod
    def open(self, path: Path) -> RunFile:
        """Open a file to compute it, by nothing but what is in it.

        Args:
            path: that :meth:`write` got, perhaps in another folder by now.

        Raises:
            DataError: the file is damaged, or is none of this kind.
        """
