"""Where models come from, in a word for listings: first author and year of the works that they cite."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pose_core.catalog.citations import Citation, read_bibliography
from pose_core.catalog.composition import Model
from pose_core.plugins import PluginRecord

_FIRST_AUTHOR = re.compile(r"author\s*=\s*[{\"]+\s*([^,{}\"]+?)\s*(?:,|\}|\"|\s+and\s)", re.IGNORECASE)
_YEAR = re.compile(r"year\s*=\s*[{\"]?\s*(\d{4})", re.IGNORECASE)
_MOST = 2
"""Works in a line of a listing; 'pose cite' has all."""


def describe_origins(models: Iterable[Model]) -> dict[tuple[str, str], str]:
    """Say by whom models were published.

    Of a model the work of its architecture stands first, then what it was made into.

    Returns:
        (full name, method) -> such as ``Sun 2019, Xiao 2018``; empty where nothing is cited.

    Raises:
        PluginError: a ``citations.bib`` is damaged.
    """
    bibliographies: dict[str, dict[str, str]] = {}

    def describe(citation: Citation) -> str:
        plugin = citation.plugin
        if plugin.name not in bibliographies:
            bibliographies[plugin.name] = read_bibliography(plugin)
        return _describe_entry(bibliographies[plugin.name].get(citation.key, ""))

    found = {}
    for model in models:
        works = [*_first_work(model.plugin), *model.citations]
        # dict: a work that preset and plugin both cite is named once.
        named = dict.fromkeys(text for work in works if (text := describe(work)))
        found[model.full_name, model.method] = ", ".join(list(named)[:_MOST])
    return found


def _first_work(plugin: PluginRecord) -> list[Citation]:
    """What the plugin cites first is its architecture; after it come libraries and further papers."""
    cited = plugin.info.citations if plugin.info is not None else ()
    return [Citation(plugin, key) for key in cited[:1]]


def _describe_entry(entry: str) -> str:
    author, year = _FIRST_AUTHOR.search(entry), _YEAR.search(entry)
    return " ".join(found[1] for found in (author, year) if found)
