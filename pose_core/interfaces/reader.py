"""Reader: a labelled project on disk -> a labelled dataset, and the images that it embeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pose_core.errors import DataError, PluginError
from pose_core.specs import ReaderConfig
from pose_core.structures import ByteArray, ImageReference, LabelledDataset, VideoRange


class Reader(ABC):
    """Reads labelled projects of one format. Made as ``factory(config)``. Never writes into the project.

    Attributes:
        strict: whether every label outside its image is refused, as is right where our own programs write the
            format. Else a few are left out with a note, which the core does.
    """

    strict: ClassVar[bool] = False

    def __init__(self, config: ReaderConfig) -> None:
        self.config = config

    @classmethod
    @abstractmethod
    def accepts(cls, path: Path) -> bool:
        """Whether ``path`` (a file or folder that exists) looks like this format; cheap, never raises on
        content."""

    @abstractmethod
    def read(self, path: Path) -> LabelledDataset:
        """Read the project.

        What is repaired or left out (an empty row, a label outside its image) gets a line in ``notes``.

        Raises:
            DataError: the project cannot be used; the message names the file and, where it applies, the row.
        """

    def find_suggested(self, path: Path) -> tuple[ImageReference, ...]:
        """Find the images that the project asks to be labelled next, for ``pose predict RUN PROJECT``.

        Their predictions are looked at and corrected in the tool that the project is of. By default there are
        none; formats that have such a list override it.

        Returns:
            the images in a stable order, each once, without those that are labelled already.

        Raises:
            DataError: as :meth:`read`.
        """
        return ()

    def find_frames(self, path: Path, ranges: Sequence[VideoRange]) -> tuple[ImageReference, ...]:
        """Find ranges of frames of the project's videos, for ``pose predict RUN PROJECT --frames 100-200``.

        For formats whose labels are of frames of videos; by default it refuses.

        Args:
            path: of the project.
            ranges: at least one.

        Returns:
            the frames, each once, in the order of the project's videos.

        Raises:
            DataError: as :meth:`read`; or a range names no video of the project, or frames that it lacks.
        """
        raise DataError(
            f"{path}: of this format no ranges of frames are found ({ranges[0]}); name the videos themselves"
        )

    @classmethod
    def open_embedded(cls, path: Path, key: str) -> bytes | ByteArray:
        """Read an image that the format stores within a file.

        Only for formats whose labels refer to images by :class:`pose_core.structures.EmbeddedImage`. Called
        for one image at a time, in any order, and in several processes.

        Args:
            path: of the reference, as :meth:`read` made it.
            key: of the reference.

        Returns:
            the content of an image file (PNG, JPEG ...), or (H, W, 3) uint8 RGB.

        Raises:
            DataError: there is no such image; the message names the file and the key.
        """
        raise PluginError(f"{cls.__name__} embeds no images, but a label refers to {key!r} in {path}")
