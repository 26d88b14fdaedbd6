"""Find the image files of a COCO file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pose_core.errors import DataError
from pose_core.io.names import FileFinder


class ImageFiles:
    """Find image files by their names in a COCO file.

    Args:
        file: the COCO JSON file.
        root: the file or folder given by the user; names of images are relative to its folder.
        folder: folder of the images, if the user gives one: absolute, relative to the JSON file's folder, or
            to the working directory.

    Raises:
        DataError: the folder given by the user does not exist.

    Attributes:
        finder: finds the files, and knows which are called otherwise than in the JSON file.
    """

    def __init__(self, file: Path, root: Path, folder: str | None) -> None:
        home = file.parent
        # Exported names are those of the labeller's computer: their ends say what file is meant.
        self.finder = FileFinder(tails=True)
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

    def find(self, file_name: str) -> tuple[Path, str] | None:
        """Find a file by its name in the JSON file.

        Returns:
            the path, and the image's name in the project: its path relative to the project's folder if it
            lies in there, else its name in the JSON file. None if there is no such file.

        Raises:
            DataError: several files could be meant, or two names come down to one file.
        """
        found = self.finder.find(file_name, self._folders)
        if found is None:
            return None
        if found.folder is None:
            return found.path, self._below_root(found.path, file_name)
        # The others are most likely in the same folder.
        self._folders.insert(0, self._folders.pop(self._folders.index(found.folder)))
        # Resolving touches the disk; once a folder, not once an image.
        if found.folder not in self._prefixes:
            self._prefixes[found.folder] = self._below_root(found.folder, "")
        return found.path, (PurePosixPath(self._prefixes[found.folder]) / found.tail).as_posix()

    def describe_places(self) -> str:
        """Name the folders that are searched, for a message."""
        return ", ".join(dict.fromkeys(str(folder) for folder in self._folders if folder.is_dir()))

    def _below_root(self, path: Path, otherwise: str) -> str:
        resolved = path.resolve()
        return (
            resolved.relative_to(self._root).as_posix() if resolved.is_relative_to(self._root) else otherwise
        )
