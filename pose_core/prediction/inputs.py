"""Find sources for paths, all checked before the first is predicted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pose_core.data.projects import find_frames, find_suggested, is_project, read_project
from pose_core.errors import DataError, VideoError, argument
from pose_core.io.images import describe_many, read_image_header
from pose_core.io.names import find_near_names, fold_name
from pose_core.io.video import VIDEO_EXTENSIONS
from pose_core.pipeline.pages import PageSource
from pose_core.pipeline.sources import IMAGE_EXTENSIONS, FrameSource, ImageSource
from pose_core.prediction.folders import describe_left_out, list_folder
from pose_core.prediction.frame_choice import (
    FrameChoice,
    OpenRange,
    check_names,
    close_ranges,
    select_frames,
)
from pose_core.structures import ImageFile, ImageReference

_SINGLE = (".jpg", ".jpeg", ".bmp")
"""Endings of files that hold one image, which need not be opened to know it."""


@dataclass(frozen=True)
class Input:
    """One thing to predict.

    Attributes:
        path: as the user gave it; the folder of images that were given one by one.
        source: its frames, or why it cannot be opened.
        of_project: whether it is images of a labelled project.
        images: the image files that it was made of, where they were named one by one.
    """

    path: Path
    source: FrameSource | VideoError
    of_project: bool = False
    images: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths by which :func:`find_inputs` finds it again, and it alone."""
        return self.images or (self.path,)


@dataclass(frozen=True)
class Inputs:
    """What paths hold.

    Attributes:
        found: things to predict.
        notes: what of the folders is not predicted.
    """

    found: list[Input]
    notes: list[str]


def find_inputs(
    paths: Sequence[Path],
    open_video: Callable[[Path], FrameSource],
    bit_depth: int | None = None,
    frames: FrameChoice | None = None,
) -> Inputs:
    """Find sources for paths.

    A path is a video, an image, a folder of images (one sequence), or a folder of videos (each of them).
    Image files that are named one by one are one sequence, in the order given. A file of several images is a
    sequence by itself. A video of a folder that does not open is found with the reason, as it must not keep
    the others from being predicted. A labelled project is a sequence of its suggested or labelled images, or of
    ranges of frames of its videos.

    Args:
        paths: as the user gave them.
        open_video: makes a source of a video, or raises VideoError.
        bit_depth: bits that samples of 16-bit images use where these do not say; None: all.
        frames: the suggested or labelled images of projects; every path is one then. Or ranges of frames of each
            source, which keep their numbers; those of a project are of its videos. None: all frames, and the suggested
            ones of files that are neither images nor videos and that a reader of projects recognises.

    Raises:
        DataError: a path does not exist, is given twice, a folder is empty or mixed, a file holds several
            images that cannot be told apart, or a project has no such images.
        ConfigError: a range goes past the end of a source, or names none that is there.
        VideoError: a video that is named does not open, or none of a folder.
    """
    finder = _Finder(open_video, bit_depth)
    images: list[Path] = []
    inputs = Inputs([], [])
    seen: dict[Path, Path] = {}
    for path in paths:
        _check_exists(path)
        if (place := path.resolve()) in seen:
            raise DataError(f"{path}: given twice (also as {seen[place]}); name it once")
        seen[place] = path
        if isinstance(frames, str) or _is_project_file(path) or (frames and _is_project_folder(path)):
            inputs.found.append(finder.open_project(path, frames or "suggested"))
        elif path.is_dir():
            # Results are named after the folder, which "." and ".." do not say.
            found, left_out = finder.find_in_folder(path if path.name not in ("", "..") else place)
            inputs.found.extend(found)
            inputs.notes.extend(left_out)
        elif path.suffix.lower() in IMAGE_EXTENSIONS:
            if (several := finder.open_several(path)) is not None:
                inputs.found.append(several)
            else:
                images.append(path)
        else:
            inputs.found.append(Input(path, open_video(path)))
    if images:
        folder = images[0] if len(images) == 1 else images[0].parent
        folder = folder if folder.name not in ("", "..") else folder.resolve()
        inputs.found.append(replace(finder.make_sequence(folder, images), images=tuple(images)))
    return replace(inputs, found=_select(inputs.found, frames)) if isinstance(frames, tuple) else inputs


def _select(found: Sequence[Input], ranges: tuple[OpenRange, ...]) -> list[Input]:
    """Leave the frames of some ranges; the images of projects were chosen by them already."""
    selected: list[Input] = []
    # A project names its videos itself.
    if not any(each.of_project for each in found):
        check_names(ranges, [each.path for each in found])
    for each in found:
        if each.of_project or isinstance(each.source, VideoError):
            selected.append(each)
            continue
        selected.append(replace(each, source=select_frames(each.source, each.path, ranges)))
    return selected


def _is_project_file(path: Path) -> bool:
    return (
        path.is_file() and path.suffix.lower() not in VIDEO_EXTENSIONS | IMAGE_EXTENSIONS and is_project(path)
    )


def _is_project_folder(path: Path) -> bool:
    """Whether it is a folder of a labelled project that holds no images or videos itself."""
    if not path.is_dir():
        return False
    content = list_folder(path)
    return not content.images and not content.videos and is_project(path)


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


@dataclass(frozen=True)
class _Finder:
    """Makes sources of files; see :func:`find_inputs`."""

    open_video: Callable[[Path], FrameSource]
    bit_depth: int | None

    def make_sequence(self, folder: Path, images: Sequence[Path]) -> Input:
        """Make one sequence of files of one image each."""
        return Input(folder, ImageSource(str(folder), [ImageFile(path, self.bit_depth) for path in images]))

    def open_project(self, path: Path, frames: FrameChoice) -> Input:
        """Make a sequence of the images of a labelled project.

        Raises:
            DataError: no reader recognises it, or it has no such images.
        """
        found: Sequence[ImageReference]
        if frames == "labelled":
            found = [image.image for image in read_project(path).images]
        elif frames != "suggested":
            found = find_frames(path, close_ranges(frames, path))
        else:
            found = find_suggested(path)
            if not found:
                raise DataError(
                    f"{path}: is a labelled project in which no images are suggested for labelling next; add some, "
                    f"predict those that are labelled with {argument('frames', 'labelled')}, or name its videos"
                )
        images = [image if image.bit_depth else replace(image, bit_depth=self.bit_depth) for image in found]
        return Input(path, ImageSource(str(path), images), of_project=True)

    def open_several(self, path: Path) -> Input | None:
        """Open a file of several images as a sequence; None for one image.

        Raises:
            DataError: nothing here decodes the images one after the other.
        """
        if path.suffix.lower() in _SINGLE:
            return None
        try:
            header = read_image_header(path)
        except DataError:
            # It is reported where the image is read, as other damage is.
            return None
        if header is None or header.images == 1:
            return None
        if header.format == "tiff":
            return Input(path, PageSource(path, self.bit_depth))
        if header.format in ("png", "gif"):
            return Input(path, self.open_video(path))
        raise DataError(describe_many(path, header))

    def find_in_folder(self, folder: Path) -> tuple[list[Input], list[str]]:
        """Find the images or videos in a folder, and lines about what of it is left out."""
        content = list_folder(folder)
        images, videos = content.images, content.videos
        left_out = describe_left_out(folder, content)
        if images and videos:
            raise DataError(
                f"{folder}: holds images ({images[0].name} ...) and videos ({videos[0].name} ...); name the files"
            )
        if videos:
            found = [self._open(path) for path in videos]
            failures = [each.source for each in found if isinstance(each.source, VideoError)]
            if len(failures) == len(found):
                raise failures[0]
            return found, left_out
        if not images:
            known = " ".join(sorted(e.lstrip(".") for e in IMAGE_EXTENSIONS | VIDEO_EXTENSIONS))
            there = "".join(f"; {line.removeprefix(f'{folder}: ')}" for line in left_out)
            raise DataError(
                f"{folder}: holds no images or videos (files ending in {known})"
                f"{there or '; name another folder or the files'}"
            )
        several = {path: made for path in images if (made := self.open_several(path)) is not None}
        single = [path for path in images if path not in several]
        if several and single:
            first, made = next(iter(several.items()))
            frames = made.source.info.frames if isinstance(made.source, FrameSource) else 0
            raise DataError(
                f"{folder}: holds files of one image ({single[0].name} ...) and of several ({first.name}: "
                f"{frames} ...); name the files"
            )
        return list(several.values()) or [self.make_sequence(folder, images)], left_out

    def _open(self, path: Path) -> Input:
        try:
            return Input(path, self.open_video(path))
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
