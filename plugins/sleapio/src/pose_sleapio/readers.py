"""Readers of formats that sleap-io reads as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from pose_core.errors import DataError
from pose_core.io.files import is_file
from pose_core.io.text import read_start
from pose_sleapio.base import SleapIOReader

_HDF5 = b"\x89HDF\r\n\x1a\n"


class AlphaTrackerReader(SleapIOReader):
    """Read AlphaTracker's JSON; keypoints are called 1, 2 ... there."""

    format: ClassVar[str] = "AlphaTracker's JSON"

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a JSON list of images with animals of the class Face."""
        return starts_like(path, ".json", "[", '"Face"')

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load it; animals with fewer points than others lack the last ones."""
        import sleap_io

        labels = sleap_io.load_alphatracker(str(path))
        instances = [animal for frame in labels.labeled_frames for animal in frame.instances]
        short = sum(bool((animal.numpy() != animal.numpy()).any()) for animal in instances)
        if short:
            notes.append(f"{short} animals have fewer points than others; these are taken for the first ones")
        return labels


class NWBReader(SleapIOReader):
    """Read training data of ndx-pose."""

    format: ClassVar[str] = "NWB with poses"

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for an HDF5 file that is called .nwb."""
        return path.suffix.lower() == ".nwb" and starts_with(path, _HDF5)

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load it; sleap-io reads neither symmetric pairs nor tracks of it.

        Raises:
            DataError: it holds predictions. sleap-io numbers their frames by the place among the times that are
                stored, so with gaps, or from another frame than 0 on, they would be labels of other frames.
        """
        import sleap_io

        labels = sleap_io.load_nwb(str(path))
        if any(frame.predicted_instances for frame in labels.labeled_frames):
            raise DataError(
                f"{path}: holds predictions, whose numbers of frames sleap-io loses; training data (PoseTraining) "
                "are read"
            )
        return labels


class LeapReader(SleapIOReader):
    """Read LEAP's labels."""

    format: ClassVar[str] = "LEAP's labels"

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a file of MATLAB."""
        return path.suffix.lower() == ".mat" and starts_with(path, b"MATLAB ")

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load it; coordinates are as the file has them."""
        import sleap_io

        notes.append("coordinates are taken as they are; where they count from 1, they are a pixel too large")
        return sleap_io.load_leap(str(path))


class JabsReader(SleapIOReader):
    """Read the poses that JABS has of a video."""

    format: ClassVar[str] = "poses of JABS"

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for an HDF5 file that is called _pose_est_v2.h5 to _pose_est_v6.h5."""
        named = re.search(r"_pose_est_v[2-6]\.h5$", path.name) is not None
        return named and starts_with(path, _HDF5)

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load it; the keypoints are the twelve of JABS's mice."""
        import sleap_io

        return sleap_io.load_jabs(str(path))


def starts_with(path: Path, magic: bytes) -> bool:
    """Test for a file that begins with some bytes. Never raises."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def starts_like(path: Path, suffix: str, first: str, *words: str) -> bool:
    """Test for a text file that begins with a letter and holds words in its first megabyte. Never raises."""
    if path.suffix.lower() != suffix or not is_file(path):
        return False
    try:
        start = read_start(path)
    except DataError:
        return False
    return start.lstrip().startswith(first) and all(word in start for word in words)
