r"""Write names of files as text: bytes that are not UTF-8 become ``\xe9``.

Linux allows any bytes in a name. Python hands those that are no UTF-8 on as lone surrogates (U+DC80 to
U+DCFF), which no file in UTF-8 can hold; whatever stores or prints a name goes through this module.
"""

from __future__ import annotations

import codecs
import os
import re

HANDLER = "pose_core.escapes"
r"""Error handler of codecs: ``\xe9`` for a byte of a name, else as ``backslashreplace``."""

_FIRST, _LAST, _BASE = 0xDC80, 0xDCFF, 0xDC00
# Of the backslashes in a name only these could be taken for an escape of this module.
_LOOKS_ESCAPED = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_ESCAPED = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    text = "".join(
        f"\\x{ord(c) - _BASE:02x}"
        if _FIRST <= ord(c) <= _LAST
        else c.encode("ascii", "backslashreplace").decode()
        for c in wrong
    )
    return text, error.end


codecs.register_error(HANDLER, _replace)


def escape_name(name: object) -> str:
    r"""Write a path or name as text that every file can hold; :func:`unescape_name` is the inverse.

    Names in UTF-8 stay as they are, but for one that itself says ``\xe9``: its backslash becomes ``\x5c``.

    Args:
        name: as Python has it from the file system. Escaping what is escaped already changes it.
    """
    text = str(name)
    # On Windows the backslash separates folders, and names hold no bytes that would need an escape.
    if os.sep == "/":
        text = _LOOKS_ESCAPED.sub(r"\\x5c", text)
    return escape_text(text)


def unescape_name(text: str) -> str:
    """Make the name, as the file system has it, of what :func:`escape_name` wrote."""
    return _ESCAPED.sub(lambda m: "\\" if m[1] == "5c" else chr(_BASE + int(m[1], 16)), text)


def escape_line(name: object) -> str:
    r"""Write a path or name on one line of a terminal: ``\xe9`` for bytes, ``\n`` for what does not print."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escape_text(str(name)))


def escape_text(text: str) -> str:
    r"""Make a text in which names may stand one that every file can hold: ``\xe9`` for bytes of names."""
    return text.encode("utf-8", HANDLER).decode()
