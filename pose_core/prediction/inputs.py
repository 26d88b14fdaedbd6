"""Find sources for paths, all checked before the first is predicted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pose_core.errors import DataError, VideoError
from pose_core.io.names import find_near_names, fold_name
from pose_core.io.video import VIDEO_EXTENSIONS
from pose_core.pipeline.sources import IMAGE_EXTENSIONS, FrameSource, ImageSource
from pose_core.prediction.folders import describe_left_out, list_folder
from pose_core.structures import ImageFile


@dataclass(frozen=True)
class Input:
    """One thing to predict.

    Attributes:
        path: as the user gave it; the folder of images that were given one by one.
        source: its frames, or why it cannot be opened.
    """

    path: Path
    source: FrameSource | VideoError


@dataclass(frozen=True)
class Inputs:
    """What paths hold.

    Attributes:
        found: things to predict.
        notes: what of the folders is not predicted.
    """

    found: list[Input]
    notes: list[str]


def find_inputs(paths: Sequence[Path], open_video: Callable[[Path], FrameSource]) -> Inputs:
    """Find sources for paths.

    A path is a video, an image, a folder of images (one sequence), or a folder of videos (each of them).
    Image files that are named one by one are one sequence, in the order given. A video of a folder that does
    not open is found with the reason, as it must not keep the others from being predicted.

    Args:
        paths: as the user gave them.
        open_video: makes a source of a video, or raises VideoError.

    Raises:
        DataError: a path does not exist, is given twice, or a folder is empty or mixed.
        VideoError: a video that is named does not open, or none of a folder.
    """
    images: list[Path] = []
    inputs = Inputs([], [])
    seen: dict[Path, Path] = {}
    for path in paths:
        _check_exists(path)
        if (place := path.resolve()) in seen:
            raise DataError(f"{path}: given twice (also as {seen[place]}); name it once")
        seen[place] = path
        if path.is_dir():
            # Results are named after the folder, which "." and ".." do not say.
            _find_in_folder(path if path.name not in ("", "..") else place, open_video, inputs)
        elif path.suffix.lower() in IMAGE_EXTENSIONS:
            images.append(path)
        else:
            inputs.found.append(Input(path, open_video(path)))
    if images:
        folder = images[0] if len(images) == 1 else images[0].parent
        folder = folder if folder.name not in ("", "..") else folder.resolve()
        inputs.found.append(Input(folder, ImageSource(str(folder), list(map(ImageFile, images)))))
    return inputs


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        # In most cases a name was typed in another letter case than the disk has.
        near = find_near_names(path)
        hint = f"there is {' and '.join(near)}" if near else "check the path"
        raise DataError(f"{path}: no such file or folder; {hint}") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DataError(f"{path}: cannot be read ({reason}); check the path") from None


def _find_in_folder(folder: Path, open_video: Callable[[Path], FrameSource], inputs: Inputs) -> None:
    content = list_folder(folder)
    images, videos = content.images, content.videos
    if images and videos:
        raise DataError(
            f"{folder}: holds images ({images[0].name} ...) and videos ({videos[0].name} ...); name the files"
        )
    left_out = describe_left_out(folder, content)
    if images:
        inputs.found.append(Input(folder, ImageSource(str(folder), list(map(ImageFile, images)))))
    elif videos:
        found = [_open(path, open_video) for path in videos]
        failures = [input.source for input in found if isinstance(input.source, VideoError)]
        if len(failures) == len(found):
            raise failures[0]
        inputs.found.extend(found)
    else:
        known = " ".join(sorted(e.lstrip(".") for e in IMAGE_EXTENSIONS | VIDEO_EXTENSIONS))
        there = "".join(f"; {line.removeprefix(f'{folder}: ')}" for line in left_out)
        raise DataError(
            f"{folder}: holds no images or videos (files ending in {known})"
            f"{there or '; name another folder or the files'}"
        )
    inputs.notes.extend(left_out)


def _open(path: Path, open_video: Callable[[Path], FrameSource]) -> Input:
    try:
        return Input(path, open_video(path))
    except VideoError as error:
        return Input(path, error)


def unique_names(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Make names of results unique, whatever the order of the inputs.

    Names that are equal (letter case aside) get the ending of their file added, or the name of its folder, or
    both, or a number, whichever tells them apart first.

    Args:
        names: wanted, without extension.
        paths: of the inputs.
    """
    # Without regard to case and form of accents: some file systems (macOS, Windows) take "A" and "a" for one file.
    clashes: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        clashes[fold_name(name)].append(i)
    result = list(names)
    taken = {key for key, rows in clashes.items() if len(rows) == 1}
    for rows in (rows for rows in clashes.values() if len(rows) > 1):
        for choice in _list_choices([names[i] for i in rows], [paths[i] for i in rows]):
            keys = {fold_name(c) for c in choice}
            if len(keys) == len(rows) and not keys & taken:
                break
        taken |= keys
        for i, name in zip(rows, choice, strict=True):
            result[i] = name
    return result


def _list_choices(names: list[str], paths: list[Path]) -> list[list[str]]:
    ends = [p.suffix.lstrip(".") or "folder" for p in paths]
    folders = [p.resolve().parent.name or "root" for p in paths]
    both = list(zip(names, folders, ends, strict=True))
    numbered = [[f"{n}-{start + i}" for i, n in enumerate(names)] for start in range(1, 1000)]
    return [
        [f"{n}-{e}" for n, _, e in both],
        [f"{f}-{n}" for n, f, _ in both],
        [f"{f}-{n}-{e}" for n, f, e in both],
        *numbered,
    ]
