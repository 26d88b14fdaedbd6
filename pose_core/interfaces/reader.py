"""Reader: a labelled project on disk -> a labelled dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from pose_core.specs import ReaderConfig
from pose_core.structures import LabelledDataset


class Reader(ABC):
    """Reads labelled projects of one format. Made as ``factory(config)``. Never writes into the project."""

    def __init__(self, config: ReaderConfig) -> None:
        self.config = config

    @classmethod
    @abstractmethod
    def accepts(cls, path: Path) -> bool:
        """Whether ``path`` (a file or folder that exists) looks like this format; cheap, never raises on content."""

    @abstractmethod
    def read(self, path: Path) -> LabelledDataset:
        """Read the project.

        What is repaired or left out (an empty row, a label outside its image) gets a line in ``notes``.

        Raises:
            DataError: the project cannot be used; the message names the file and, where it applies, the row.
        """
