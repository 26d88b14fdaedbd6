"""Find the image files of a COCO file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from pose_core.errors import DataError
from pose_core.io.files import is_file


class ImageFiles:
    """Find image files by their names in a COCO file.

    Args:
        file: the COCO JSON file.
        root: the file or folder given by the user; names of images are relative to its folder.
        folder: folder of the images, if the user gives one: absolute, relative to the JSON file's folder, or
            to the working directory.

    Raises:
        DataError: the folder given by the user does not exist.
    """

    def __init__(self, file: Path, root: Path, folder: str | None) -> None:
        home = file.parent
        self._root = (root if root.is_dir() else root.parent).resolve()
        self._prefixes: dict[Path, str] = {}
        if folder is None:
            # Beside the file; in the images folder of a project with annotations/train.json; where COCO's own
            # archives unpack to (train2017/ beside annotations/).
            self._folders = [
                home,
                home / "images",
                home.parent / "images",
                home.parent,
                home.parent / file.stem,
            ]
            stem = file.stem.rpartition("_")[2]
            if stem != file.stem:
                self._folders += [home.parent / stem, home.parent / "images" / stem]
        else:
            named = [home / folder, Path(folder)]
            self._folders = [f for f in named if f.is_dir()][:1]
            if not self._folders:
                raise DataError(
                    f"{file}: the folder of its images, {folder}, does not exist (nor {named[0]})"
                )

    def find(self, file_name: str) -> tuple[Path, str]:
        """Find a file by its name in the JSON file.

        Returns:
            the path (of the first place searched, if the file does not exist), and the image's name in the
            project: its path relative to the project's folder if it lies in there, else its name in the JSON
                file.
        """
        # A Windows path is absolute also when it is read on Linux.
        if PurePosixPath(file_name).is_absolute() or PureWindowsPath(file_name).is_absolute():
            return Path(file_name), self._below_root(Path(file_name), file_name)
        for i, folder in enumerate(self._folders):
            if is_file(folder / file_name):
                # The others are most likely in the same folder.
                self._folders.insert(0, self._folders.pop(i))
                break
        folder = self._folders[0]
        # Resolving touches the disk; once a folder, not once an image.
        if folder not in self._prefixes:
            self._prefixes[folder] = self._below_root(folder, "")
        return folder / file_name, (PurePosixPath(self._prefixes[folder]) / file_name).as_posix()

    def _below_root(self, path: Path, otherwise: str) -> str:
        resolved = path.resolve()
        return (
            resolved.relative_to(self._root).as_posix() if resolved.is_relative_to(self._root) else otherwise
        )
