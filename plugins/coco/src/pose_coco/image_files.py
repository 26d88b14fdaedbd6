"""Where the images of a COCO file are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from pose_core.errors import DataError
from pose_core.io.files import is_file


class ImageFiles:
    """Finds image files.

    Args:
        file: the COCO JSON file.
        root: the file or folder that the user named; names of images are relative to its folder.
        folder: where images are, if the user said so: absolute, relative to the JSON file's folder, or to the working
            directory.

    Raises:
        DataError: the folder that the user named does not exist.
    """

    def __init__(self, file: Path, root: Path, folder: str | None) -> None:
        home = file.parent
        self._root = (root if root.is_dir() else root.parent).resolve()
        self._prefixes: dict[Path, str] = {}
        if folder is None:
            # Beside the file; in the images folder of a project with annotations/train.json; where COCO unpacks.
            self._folders = [home, home / "images", home.parent / "images", home.parent, home.parent / file.stem]
            stem = file.stem.rpartition("_")[2]
            if stem != file.stem:
                self._folders += [home.parent / stem, home.parent / "images" / stem]
        else:
            named = [home / folder, Path(folder)]
            self._folders = [f for f in named if f.is_dir()][:1]
            if not self._folders:
                raise DataError(f"{file}: the folder of its images, {folder}, does not exist (nor {named[0]})")

    def find(self, file_name: str) -> tuple[Path, str]:
        """The file of this name, and how the project calls it.

        Where there is no such file, the first place that was looked at. An image that lies in the project's folder is
        called by its path relative to that, any other as in the JSON file.
        """
        if PurePosixPath(file_name).is_absolute() or PureWindowsPath(file_name).is_absolute():
            return Path(file_name), self._below_root(Path(file_name), file_name)
        for i, folder in enumerate(self._folders):
            if is_file(folder / file_name):
                # The others are most likely in the same folder.
                self._folders.insert(0, self._folders.pop(i))
                break
        folder = self._folders[0]
        if folder not in self._prefixes:
            self._prefixes[folder] = self._below_root(folder, "")
        return folder / file_name, (PurePosixPath(self._prefixes[folder]) / file_name).as_posix()

    def _below_root(self, path: Path, otherwise: str) -> str:
        resolved = path.resolve()
        return resolved.relative_to(self._root).as_posix() if resolved.is_relative_to(self._root) else otherwise
