"""Read and write HDF5 files of strangers.

What h5py makes of a damaged file becomes one line, no file beside the one that was named is opened, and a
full disk is an error and not a crash. h5py itself is a requirement of the plugins that need it, not of the
core.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pose_core.errors import DataError

_HOLLOW = 1 << 26
"""Bytes from which on the values of a dataset are compared with what is stored of them."""
_DENSEST = 1000
"""How many times smaller than its values a dataset may be stored; gzip reaches about that."""


class DiskFile(io.FileIO):
    """Write an HDF5 file, remembering a full disk, for ``h5py.File(DiskFile(path, "w+"), "w")``.

    The HDF5 library crashes if it cannot clean up after a failed write. So writes after the first that failed
    do nothing, and :meth:`check` raises what happened.
    """

    _failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all bytes, or remember why not."""
        view = memoryview(data).cast("B")
        left = view
        try:
            while self._failure is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self._failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, or remember why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0

    def check(self) -> None:
        """Raise the error that a write met, if any.

        Raises:
            OSError: something could not be written.
        """
        if self._failure is not None:
            raise self._failure


@contextmanager
def hdf5_errors(path: Path, what: str) -> Iterator[None]:
    """Turn everything that a strange or damaged HDF5 file makes h5py raise into one line.

    Args:
        path: of the file.
        what: it should be, for the message: ``a table that pandas wrote``.

    Raises:
        DataError: anything of that kind happened.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: {_explain(error)}") from None
    # A file with other content fails in many ways: a missing node, another type or shape, too large a size.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(f"{path}: is damaged, or not {what} ({_one_line(error)})") from None


def find_dataset(group: Any, name: str) -> Any:
    """Find a dataset whose values lie in the file itself.

    Args:
        group: h5py.Group.
        name: of the dataset, below the group.

    Returns:
        h5py.Dataset; None if there is nothing of that name.

    Raises:
        ValueError: it is a link to elsewhere, its values lie in another file, or it claims to hold far more
            of them than are stored.
        TypeError: it is no dataset.
    """
    # By what they offer and are called: the core does not require h5py.
    node = group
    for part in name.strip("/").split("/"):
        if not hasattr(node, "keys"):
            raise TypeError(f"{node.name} is not a group")
        link = node.get(part, getlink=True)
        if link is None:
            return None
        if type(link).__name__ != "HardLink":
            raise ValueError(f"{name} is a link to elsewhere")
        node = node[part]
    if not hasattr(node, "external"):
        raise TypeError(f"{name} is not a dataset")
    if node.external or node.is_virtual:
        raise ValueError(f"the values of {name} lie in another file")
    if node.nbytes > _HOLLOW and node.nbytes > _DENSEST * node.id.get_storage_size():
        raise ValueError(f"{name} claims {node.nbytes} bytes and stores {node.id.get_storage_size()}")
    return node


def read_text_attribute(node: Any, name: str) -> str:
    """Read a text attribute of an h5py node; empty where there is none, or it is no text."""
    value = node.attrs.get(name, "")
    if isinstance(value, bytes):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _explain(error: OSError) -> str:
    """Say what is wrong with a file that does not open, in words of our own where it is cut off."""
    text = _one_line(error)
    if cut := re.search(r"truncated file: eof = (\d+).*stored_eof = (\d+)", text):
        return f"is cut off: {cut[1]} of its {cut[2]} bytes are there; copy or save it once more"
    return f"cannot be read as HDF5 ({text})"


def _one_line(error: BaseException) -> str:
    # The message of a KeyError is the key alone, but for those of h5py.
    if type(error) is KeyError and error.args and " " not in str(error.args[0]):
        return f"no {error.args[0]!r} where one is due"
    return " ".join(str(error).split()) or type(error).__name__
