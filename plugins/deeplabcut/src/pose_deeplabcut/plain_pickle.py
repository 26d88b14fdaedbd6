"""Load pickled text, numbers, lists and arrays of them without running anything.

pandas stores the names of a table's columns as a pickle, and a pickle can name any function to be called.
PyTables unpickles every attribute of a node it opens, which is why its files are read with h5py here.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, NoReturn

_ARRAYS = {
    (module, name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{package}.multiarray", "_reconstruct"),
        (f"{package}.multiarray", "scalar"),
        (f"{package}.numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes")}
"""What numpy's arrays name in a pickle."""


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
    return _load(_Plain(io.BytesIO(data)))


def _load(unpickler: pickle.Unpickler) -> object:
    try:
        return unpickler.load()
    except UnsafePickleError:
        raise
    except Exception:
        # A damaged pickle can raise nearly anything.
        raise UnsafePickleError("it is damaged") from None


class Inert:
    """Stands for a call that a pickle asks for and that is not done.

    Attributes:
        name: of the function or class.
        arguments: of the call.
        state: what the object would be given afterwards; None if nothing.
    """

    name = ""

    def __new__(cls, *arguments: object) -> Inert:
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        return made

    arguments: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: object) -> None:
        self.state = state


class _WithArrays(_Plain):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            # A class, as a pickle may make an object of it without a call.
            return type(name, (Inert,), {"name": name})
        return super().find_class(module, name)


def load_inert(data: bytes) -> object:
    """Load a pickle as :func:`load_plain`, with an :class:`Inert` in the place of each numpy array.

    Raises:
        UnsafePickleError: the pickle contains anything else, or is damaged.
    """
    return _load(_WithArrays(io.BytesIO(data), encoding="latin1"))
