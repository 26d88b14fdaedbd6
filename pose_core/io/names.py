"""Find files by the names that people gave them, perhaps on another computer.

A name that exists is that file, whatever letters it has. Else it is looked for as people mean it: in another
letter case, with accents in the other form of Unicode, with ``\\`` for ``/``; where absolute, below the folders
of this computer, by ever shorter ends. What is not the name itself is taken only where a single file fits,
and is told in a note. The image keeps the name that the labels have, so that splits hold on every computer.

::

    files = FileFinder()
    found = files.find("images/Img0.PNG", [folder])
    notes += files.notes()
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from pose_core.errors import DataError
from pose_core.escapes import unescape_name
from pose_core.io.files import is_file

_EXACT, _ACCENTS, _CASE = "", "form of accents", "letter case"


def fold_name(name: str) -> str:
    """Make a key that is equal for names that some file system takes for one, or that people read as one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def match_names(name: str, known: Iterable[str]) -> list[str]:
    """Find the names that a name may mean: itself; else those that differ in the form of accents; else in case.

    Returns:
        one name, none, or several that fit equally well.
    """
    near = [other for other in known if fold_name(other) == fold_name(name)]
    for same in (str, _compose):
        if hits := [other for other in near if same(other) == same(name)]:
            return hits
    return near


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


class NameIndex:
    """Look names up among many, as :func:`match_names` does.

    Args:
        known: the names.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._names: dict[str, list[str]] = {}
        for name in known:
            self._names.setdefault(fold_name(name), []).append(name)

    def match(self, name: str) -> list[str]:
        """Find the names that a name may mean: one, none, or several that fit equally well."""
        return match_names(name, self._names.get(fold_name(name), ()))


def find_near_names(path: Path) -> list[str]:
    """Find the names in a path's folder that differ from its own in letter case or form of accents only."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return []
    return sorted(match_names(path.name, names))


def find_named(path: Path, notes: list[str]) -> Path:
    """Find a file or folder of a name that a format prescribes, in whatever letter case the disk has it.

    Args:
        path: as the format has it.
        notes: gets a line if it is called otherwise.

    Returns:
        the path on the disk; ``path`` itself if there is none.

    Raises:
        DataError: several differ in letter case only, and none is the name itself.
    """
    # Also True for what links elsewhere: whether it can be read is for the reader to find out.
    if os.path.lexists(path) or not (near := find_near_names(path)):
        return path
    if len(near) > 1:
        raise DataError(f"{path}: may be {' or '.join(near)}; rename one of them to {path.name}")
    notes.append(f"{path.with_name(near[0])}: is taken for {path.name} (letter case)")
    return path.with_name(near[0])


def find_escaped(text: str) -> Path:
    """Find the path that a file of ours names: as it stands there, or with its escapes resolved if that exists."""
    path, unescaped = Path(text), Path(unescape_name(text))
    return (
        unescaped if unescaped != path and not os.path.lexists(path) and os.path.lexists(unescaped) else path
    )


def is_absolute(name: str) -> bool:
    """Test for an absolute path of this or any other computer: ``/data/a.png``, ``D:\\data\\a.png``."""
    return PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor)


def split_name(name: str) -> list[str]:
    """Split a path of any computer at both slashes, without drive and root: ``D:\\rig\\2.png`` is rig, 2.png."""
    windows = PureWindowsPath(name)
    rest = name[len(windows.drive) :] if windows.anchor else name
    return [part for part in re.split(r"[\\/]", rest) if part not in ("", ".")]


def shorten_names(names: Sequence[str]) -> list[str]:
    """Shorten paths to the fewest last parts that tell each from all others, with forward slashes.

    So a name does not change when a project moves, and rarely when it grows.
    """
    parts = {name: split_name(name) or [name] for name in names}
    short: dict[str, str] = {}
    left, depth = dict.fromkeys(names), 1
    while left:
        tails = {name: "/".join(parts[name][-depth:]) for name in left}
        counts = Counter("/".join(other[-depth:]) for other in parts.values())
        for name, tail in tails.items():
            if counts[tail] == 1 or depth >= len(parts[name]):
                short[name] = tail
                del left[name]
        depth += 1
    return [short[name] for name in names]


class SameFileError(DataError):
    """Two names come down to one file.

    Attributes:
        names: both, as they were given.
        path: of the file.
    """

    def __init__(self, first: str, second: str, path: Path) -> None:
        super().__init__(f"{first!r} and {second!r} are both {path} on this disk; keep one of them")
        self.names = first, second
        self.path = path


@dataclass(frozen=True)
class FoundFile:
    """A file that a name means.

    Attributes:
        path: of the file, which exists.
        folder: the one of the searched folders that it was found below; None for an absolute path.
        tail: the part of the name that leads there from ``folder``, as it was given, with forward slashes.
    """

    path: Path
    folder: Path | None
    tail: str


class FileFinder:
    """Find the files of a project; lists each folder once, and remembers what was found otherwise than named.

    Args:
        tails: also look for ever shorter ends of relative names; of absolute ones it always does.
        inside: do not open what an absolute name says, only look below the folders.
        noun: what the files are, in notes.
    """

    def __init__(self, *, tails: bool = False, inside: bool = False, noun: str = "image") -> None:
        self._tails, self._inside, self._noun = tails, inside, noun
        self._listings: dict[Path, dict[str, list[str]]] = {}
        self._owners: dict[str, list[tuple[Path, str]]] = {}
        self._otherwise: dict[str, list[tuple[str, Path]]] = {}

    def find(self, name: str, folders: Sequence[Path]) -> FoundFile | None:
        """Find the file that a name means.

        Args:
            name: as the labels give it.
            folders: where to look, the first that has the whole name wins.

        Returns:
            the file; None if there is none.

        Raises:
            DataError: several files fit equally well; names them.
            SameFileError: the file was found under another name before.
        """
        found, difference = self._find_as_named(name, folders), _EXACT
        if found is None:
            found, difference = self._find_otherwise(name, folders)
        if found is not None:
            self._record(name, found, difference)
        return found

    def notes(self) -> list[str]:
        """Tell how many files were found otherwise than they are named, and the first of them."""
        lines = []
        for difference, pairs in self._otherwise.items():
            several = len(pairs) > 1
            count = f"{len(pairs)} {self._noun}{'s' if several else ''}"
            name, path = pairs[0]
            if difference in (_ACCENTS, _CASE):
                verb = "are" if several else "is"
                lines.append(
                    f"{count} {verb} called otherwise on this disk ({difference}), such as {path.name}"
                )
            else:
                verb = "were" if several else "was"
                lines.append(f"{count} {verb} found by the end of the name, such as {path} for {name}")
        return lines

    def _find_as_named(self, name: str, folders: Sequence[Path]) -> FoundFile | None:
        absolute = is_absolute(name)
        if Path(name).is_absolute():
            if not self._inside and is_file(Path(name)):
                return FoundFile(Path(name), None, name)
            return None
        for folder in folders:
            if is_file(folder / name):
                return FoundFile(folder / name, folder, name)
        # As this program writes bytes that are no text, and as Windows separates folders.
        spellings = [unescape_name(name)] if absolute else [unescape_name(name), "/".join(split_name(name))]
        for spelling in (s for s in spellings if s not in (name, "")):
            for folder in folders:
                if is_file(folder / spelling):
                    return FoundFile(folder / spelling, folder, spelling)
        return None

    def _find_otherwise(self, name: str, folders: Sequence[Path]) -> tuple[FoundFile | None, str]:
        parts = split_name(name)
        shorter = self._tails or is_absolute(name)
        for start in range(len(parts) if shorter else min(len(parts), 1)):
            tail = parts[start:]
            # Nothing above a searched folder is looked for but by its own name.
            if ".." in tail:
                continue
            hits = [(path, folder) for folder in folders for path in self._walk(folder, tail)]
            for difference, same in ((_EXACT, str), (_ACCENTS, _compose), (_CASE, fold_name)):
                wanted = [same(part) for part in tail]
                fitting = {
                    path: folder
                    for path, folder in hits
                    if [same(part) for part in path.relative_to(folder).parts] == wanted
                }
                if len(distinct := _drop_same_files(fitting)) > 1:
                    raise DataError(
                        f"{name!r} may be {' or '.join(map(str, distinct[:10]))}; name it as it is on the disk"
                    )
                if distinct:
                    path = distinct[0]
                    found = FoundFile(path, fitting[path], "/".join(tail))
                    return found, difference if start == 0 and not is_absolute(name) else "tail"
        return None, _EXACT

    def _walk(self, folder: Path, parts: Sequence[str]) -> list[Path]:
        """List the files below a folder whose path reads like this one, letter case aside."""
        places = [folder]
        for part in parts:
            places = [p / name for p in places for name in self._list(p).get(fold_name(part), ())]
        return [path for path in places if is_file(path)]

    def _list(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listings:
            names: dict[str, list[str]] = {}
            try:
                for name in sorted(path.name for path in folder.iterdir()):
                    names.setdefault(fold_name(name), []).append(name)
            # What cannot be listed holds nothing to find: no folder, none of ours, or gone.
            except OSError:
                names = {}
            self._listings[folder] = names
        return self._listings[folder]

    def _record(self, name: str, found: FoundFile, difference: str) -> None:
        owners = self._owners.setdefault(fold_name(str(found.path)), [])
        for path, other in owners:
            if path == found.path and other == name:
                return
            # On a disk that does not tell letter cases apart, paths that differ can be one file.
            if path == found.path or (other != name and path.samefile(found.path)):
                raise SameFileError(other, name, found.path)
        owners.append((found.path, name))
        if difference != _EXACT:
            self._otherwise.setdefault(difference, []).append((name, found.path))


def _drop_same_files(paths: Iterable[Path]) -> list[Path]:
    """Keep one path of each file: folders that are searched may lie within each other, or be linked."""
    kept: dict[tuple[int, int], Path] = {}
    for path in paths:
        stat = path.stat()
        kept.setdefault((stat.st_dev, stat.st_ino), path)
    return list(kept.values())


def describe_counts(names: Sequence[str], most: int = 10) -> str:
    """List names for a note, the first ones and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
