"""Load pickled text, numbers and lists of them without running anything.

pandas stores the names of a table's columns as a pickle, and a pickle can name any function to be called.
PyTables unpickles every attribute of a node it opens, which is why its files are read with h5py here.
"""

from __future__ import annotations

import io
import pickle
from typing import NoReturn


class UnsafePickleError(Exception):
    """The pickle names something to import or call."""


class _Plain(pickle.Unpickler):
    # Every object that a pickle creates or calls is looked up here first.
    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnsafePickleError(f"it names {module}.{name}")

    def persistent_load(self, identifier: object) -> NoReturn:
        raise UnsafePickleError("it refers to an object outside")


def load_plain(data: bytes) -> object:
    """Load a pickle made of None, bools, numbers, text, lists, tuples and dicts.

    Raises:
        UnsafePickleError: the pickle contains anything else, or is damaged.
    """
    try:
        return _Plain(io.BytesIO(data)).load()
    except UnsafePickleError:
        raise
    except Exception:
        # A damaged pickle can raise nearly anything.
        raise UnsafePickleError("it is damaged") from None
