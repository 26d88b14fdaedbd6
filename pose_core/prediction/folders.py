"""Choose the files of a folder that are predicted, and name those that are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pose_core.errors import DataError
from pose_core.io.files import natural_order
from pose_core.io.names import describe_counts
from pose_core.io.video import VIDEO_EXTENSIONS
from pose_core.pipeline.sources import IMAGE_EXTENSIONS

BYSTANDERS = frozenset(
    {
        *(".csv", ".tsv", ".h5", ".hdf5", ".json", ".txt", ".info", ".parquet", ".xlsx", ".xls", ".ods"),
        *(".yaml", ".yml", ".toml", ".ini", ".xml", ".md", ".log", ".pdf", ".html"),
        *(".pickle", ".pkl", ".mat", ".npy", ".npz", ".py", ".ipynb", ".m", ".r", ".sh", ".bat"),
    }
)
"""Endings, in lower case, of files that usually lie beside videos and images: tables, notes, results."""


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds, names in natural order.

    Attributes:
        images, videos: files that are predicted, by their endings.
        others: files that might be meant to be, and are not.
        subfolders: that hold images or videos; these are not looked into.
    """

    images: list[Path]
    videos: list[Path]
    others: list[Path]
    subfolders: list[Path]


def list_folder(folder: Path) -> FolderContent:
    """List the content of a folder.

    Raises:
        DataError: it cannot be listed.
    """
    content = FolderContent([], [], [], [])
    try:
        # Listed at once: a network disk that fails does so here.
        paths = sorted(folder.iterdir(), key=lambda path: natural_order(path.name))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({(error.strerror or str(error)).lower()}); check its permissions"
        ) from None
    for path in paths:
        if path.is_dir():
            # Hidden folders are of programs: caches, journals, trash.
            if not path.name.startswith(".") and _holds_media(path):
                content.subfolders.append(path)
        elif path.name.startswith("."):
            # macOS leaves shadows (._a.mp4) of files on foreign disks, and programs their half-written files.
            if _is_media(path.name) and not path.name.startswith("._") and ".partial" not in path.suffixes:
                content.others.append(path)
        # A link that leads nowhere has the ending of a video, and is none.
        elif path.is_file() and path.suffix.lower() in IMAGE_EXTENSIONS:
            content.images.append(path)
        elif path.is_file() and path.suffix.lower() in VIDEO_EXTENSIONS:
            content.videos.append(path)
        elif path.suffix.lower() not in BYSTANDERS:
            content.others.append(path)
    return content


def describe_left_out(folder: Path, content: FolderContent) -> list[str]:
    """Count and name what is not predicted: files, and subfolders with images or videos."""
    lines = []
    for what, paths, them in (
        ("file", content.others, ("it", "them")),
        ("subfolder", content.subfolders, ("it", "them")),
    ):
        if paths:
            several = len(paths) > 1
            holding = " with images or videos" if what == "subfolder" else ""
            lines.append(
                f"{folder}: {len(paths)} {what}{'s' if several else ''}{holding} passed over "
                f"({describe_counts([path.name for path in paths])}); name {them[several]} to have "
                f"{them[several]} predicted"
            )
    return lines


def _is_media(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_EXTENSIONS | VIDEO_EXTENSIONS


def _holds_media(folder: Path) -> bool:
    """Whether a folder, or one below it, holds an image or a video; what cannot be listed does not."""
    return any(_is_media(name) and not name.startswith(".") for name in _walk_names(folder))


def _walk_names(folder: Path) -> Iterator[str]:
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from names
