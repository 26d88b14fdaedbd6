"""Find the images that labels of sleap-io are of, on this computer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pose_core.errors import DataError, VideoError, listed, setting
from pose_core.io.images import read_image_size
from pose_core.io.names import FileFinder, shorten_names
from pose_core.io.video import open_video
from pose_core.structures import ImageFile, ImageReference, VideoFrame

_IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"))
_STORED = frozenset((".h5", ".hdf5", ".slp", ".nwb"))


class Picture(NamedTuple):
    """An image: reference, name that does not depend on the project's folder, size in pixels."""

    image: ImageReference
    name: str
    width: int
    height: int


def find_pictures(
    path: Path,
    places: Sequence[tuple[tuple[str, ...], int]],
    folder: str | None,
    reader: str,
    notes: list[str],
) -> list[Picture]:
    """Find images and frames of videos.

    Args:
        path: of the labels.
        places: names of the files of a video (one video file, or its images in order), and number of the
            frame in it.
        folder: where files are looked for first, if the user names one.
        reader: name of the reader, for messages.
        notes: gets a line about files that are called otherwise on the disk.

    Raises:
        DataError: one is missing, has no such frame, or is of a kind that is not read; names it.
    """
    root = path if path.is_dir() else path.parent
    folders = [root]
    if folder is not None:
        given = [place for place in (root / folder, Path(folder)) if place.is_dir()]
        if not given:
            raise DataError(f"{path}: the folder of its images, {folder}, does not exist")
        folders.insert(0, given[0])
    finders = {noun: FileFinder(tails=True, noun=noun) for noun in ("image", "video")}
    opened: dict[str, tuple[Path, int, int, int]] = {}
    missing: dict[str, None] = {}
    found: list[tuple[str, Picture]] = []
    for names, frame in places:
        suffix = Path(names[0]).suffix.lower()
        if suffix in _STORED:
            raise DataError(
                f"{path}: its images are within {names[0]}, and such are not read; save them as a video or as "
                f"images, or save the labels as .pkg.slp with sleap-io"
            )
        images = len(names) > 1 or suffix in _IMAGES
        if frame < 0 or (images and frame >= len(names)):
            raise DataError(f"{path}: frame {frame} is labelled of {names[0]}, which has {len(names)}")
        name = names[frame] if images else names[0]
        if name in missing:
            continue
        if name not in opened:
            file = _find_file(path, finders["image" if images else "video"], name, folders)
            if file is None:
                missing[name] = None
                continue
            opened[name] = (file, 1, *read_image_size(file)) if images else _open_video(path, file)
        file, count, width, height = opened[name]
        if not images and frame >= count:
            raise DataError(
                f"{path}: frame {frame} of {file} is labelled, but it has {count}, and the first is 0"
            )
        image: ImageReference = ImageFile(file) if images else VideoFrame(file, frame)
        stable = file.relative_to(root).as_posix() if file.is_relative_to(root) else name
        found.append((stable, Picture(image, "" if images else f" frame {frame}", width, height)))
    if missing:
        lost = list(missing)
        raise DataError(
            f"{path}: {listed(lost, most=1)} {'is' if len(lost) == 1 else 'are'} missing, looked for in "
            f"{', '.join(map(str, folders))}; put what is missing there, or name its folder: "
            f"{setting(f'data.reader.type={reader}', 'data.reader.images=FOLDER')}"
        )
    for finder in finders.values():
        notes += finder.notes()
    stables = list(dict.fromkeys(stable for stable, _ in found))
    # What lies elsewhere is called by as much of its path as tells it from the others.
    short = {
        name: name if (root / name).exists() else shorter
        for name, shorter in zip(stables, shorten_names(stables), strict=True)
    }
    return [picture._replace(name=short[stable] + picture.name) for stable, picture in found]


def _find_file(path: Path, finder: FileFinder, name: str, folders: Sequence[Path]) -> Path | None:
    try:
        found = finder.find(name, folders)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return None if found is None else found.path


def _open_video(path: Path, file: Path) -> tuple[Path, int, int, int]:
    try:
        video = open_video(file)
        return file, video.timeline.frames, video.width, video.height
    except VideoError as error:
        raise DataError(f"{path}: {error}") from None
