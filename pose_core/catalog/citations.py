"""The works that plugins cite: keys in their definitions, entries in ``citations.bib`` beside the plugin's
module.

The file is read when the entries are asked for (``pose cite``, ``pose check``), never for listing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pose_core.errors import PluginError
from pose_core.plugins import PluginRecord, find_beside

FILE = "citations.bib"
# No library of BibTeX: entries are printed as they were written, so only their keys and ends are needed.
_ENTRY = re.compile(r"@(\w+)\s*\{\s*([^\s,{}]+)\s*,")


@dataclass(frozen=True)
class Citation:
    """A work that a definition cites.

    Attributes:
        plugin: which cites it, and has the entry.
        key: of the entry.
    """

    plugin: PluginRecord
    key: str


def read_entries(citations: Iterable[Citation]) -> dict[str, str]:
    """Look the entries up, each key once, in order.

    Returns:
        key -> BibTeX.

    Raises:
        PluginError: a plugin cites what its ``citations.bib`` does not have, or the file is damaged.
    """
    bibliographies: dict[str, dict[str, str]] = {}
    found: dict[str, str] = {}
    for citation in citations:
        plugin = citation.plugin
        if plugin.name not in bibliographies:
            bibliographies[plugin.name] = read_bibliography(plugin)
        entries = bibliographies[plugin.name]
        if citation.key not in entries:
            near = difflib.get_close_matches(citation.key, entries, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PluginError(
                f"plugin {plugin.name} cites {citation.key!r}, which its {FILE} does not have{hint} "
                f"(correct it in {plugin.distribution})"
            )
        # Plugins that build on one publication have the same key; the first entry stands for it.
        found.setdefault(citation.key, entries[citation.key])
    return found


def read_bibliography(plugin: PluginRecord) -> dict[str, str]:
    """Read a plugin's ``citations.bib``.

    Returns:
        key -> BibTeX; nothing where there is no file.

    Raises:
        PluginError: it is no BibTeX, or has a key twice.
    """
    path = find_beside(plugin, FILE)
    if path is None:
        return {}
    where = f"{FILE} of plugin {plugin.name}"
    found: dict[str, str] = {}
    try:
        for key, entry in split_entries(path.read_text(encoding="utf-8")):
            if key in found:
                raise ValueError(f"has the entry {key} twice")
            found[key] = entry
    except OSError as error:
        raise PluginError(f"{where} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise PluginError(f"{where} is not UTF-8 text") from None
    except ValueError as error:
        raise PluginError(f"{where} {error} (correct it in {plugin.distribution})") from None
    return found


def split_entries(text: str) -> Iterator[tuple[str, str]]:
    """Split BibTeX into keys and entries; text between entries is a comment, as BibTeX has it.

    Raises:
        ValueError: an entry has no key, or its braces do not match.
    """
    position = 0
    while (start := text.find("@", position)) >= 0:
        head = _ENTRY.match(text, start)
        if head is None:
            raise ValueError(
                f"has no entry @kind{{key, ...}} where it says {text[start : start + 40].split()[0]!r}"
            )
        depth = 0
        for place in range(text.index("{", start), len(text)):
            # Counted, for no regular expression can match nested braces.
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                yield head[2], text[start : place + 1]
                position = place + 1
                break
        else:
            raise ValueError(f"does not close the braces of {head[2]}")
