"""OpenVINO's core, of which a process has one.

On Linux each core that computes on the CPU gives its thread another stack for signals, and takes it back when it is
deleted, but only while no other core has given one since. Of cores that are deleted in the order in which they were
made, the last one brings back a stack that is gone, and the next signal that Python handles (SIGCHLD, Ctrl-C) ends the
process with a segmentation fault.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import openvino


@functools.cache
def get_core() -> openvino.Core:
    """Get the core, which lives as long as the process."""
    core = openvino.Core()
    # Mapped into memory, files could not be moved on every system while they are open.
    core.set_property({"ENABLE_MMAP": False})
    return core


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Let the thread have the stack for signals afterwards that it had before, for code that makes cores of its own.

    Raises:
        OSError: the system refuses it.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    before = _SignalStack()
    if library.sigaltstack(None, ctypes.byref(before)):
        raise OSError(ctypes.get_errno(), "sigaltstack")
    try:
        yield
    finally:
        # Deleted later, those cores leave it alone: theirs is no longer the one in use.
        if library.sigaltstack(ctypes.byref(before), None):
            raise OSError(ctypes.get_errno(), "sigaltstack")
