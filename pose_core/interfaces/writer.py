"""Writer: predictions -> a file of some format, and back where the format holds enough."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pose_core.specs import WriterConfig
from pose_core.structures import Frame, FrameSpan, Skeleton


@dataclass(frozen=True)
class PredictionsHeader:
    """Header of a predictions file.

    Attributes:
        skeleton: of the model.
        source: the video, or the folder of images, that was predicted; a path as the user gave it. What
            :meth:`Writer.write` gets, and is stored, is text: bytes that are not UTF-8 are escaped (``\\xe9``).
        frames: number of frames.
        width, height: size of the frames in pixels; 0 where images differ in size.
        fps: frames a second, on average; 0 for images.
        model: name of the model.
        run: folder of the run.
        metadata: what the reader of the training project noted (``LabelledDataset.metadata``).
        selected: which of the frames were predicted, in rising order; empty: all.
    """

    skeleton: Skeleton
    source: str
    frames: int
    width: int
    height: int
    fps: float
    model: str
    run: str
    metadata: dict[str, str] = field(default_factory=dict)
    selected: tuple[FrameSpan, ...] = ()

    def __post_init__(self) -> None:
        # Formats that keep headers as JSON read lists.
        object.__setattr__(self, "selected", tuple(FrameSpan(*span) for span in self.selected))


FILTERS = "filters"
"""Key of the header's metadata that says by which filters tracks went. In such predictions keypoints with score 0 that
have a place were filled in, and formats with room for it say so."""


class Writer(ABC):
    """Writes one format. Made as ``factory(config)``.

    Attributes:
        extension: of the files, with the dot.
        takes_selected: whether :meth:`write` takes some of a source's frames (``header.selected``), and files keep
            their numbers.
        complete: whether files hold the names of keypoints and frames without animals, so that :meth:`read` gives back
            all that was written. Where they do not, it numbers keypoints, and may leave such frames out.
    """

    extension: str
    takes_selected: bool = False
    complete: bool = True

    def __init__(self, config: WriterConfig) -> None:
        self.config = config

    def stem(self, header: PredictionsHeader) -> str:
        """File name without extension for these predictions; formats with naming rules of their own override
        it."""
        source = Path(header.source)
        # A folder's name has no ending: "2024.05.01" and "2024.05.02" are two days.
        return source.name if source.is_dir() else source.stem

    @abstractmethod
    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write all frames, in order of index, as they come (memory does not grow with their number).

        There are no gaps between their numbers, except where ``header.selected`` says which of a source's frames
        these are; only a writer with ``takes_selected`` gets such.

        ``path`` is a temporary name that the caller renames when this returns, so nothing is ever half
        written.

        Raises:
            DataError: the format cannot hold these predictions; the message says which can.
        """

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether ``path`` looks like a file of this format that :meth:`read` can read."""
        return False

    def read(self, path: Path) -> PredictionsStream:
        """Open predictions for reading.

        Raises:
            DataError: the file is not of this format or is damaged.
        """
        # Not abstract: most formats hold too little to be read back, and reads() says so.
        raise NotImplementedError(f"{type(self).__name__} only writes")


class PredictionsStream(ABC):
    """Predictions opened for reading, frame by frame in order of index."""

    header: PredictionsHeader

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...
