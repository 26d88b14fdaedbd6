"""Names that plugins bring, for plugins that need not be installed.

``known_names.json`` is made of the plugins of this repository by ``tools/known_names.py`` (``make tables``),
so that the error for a name that is not there can say what to install. No code here knows a plugin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class KnownNames:
    """Names of this project's plugins, installed or not.

    Attributes:
        distributions: namespace -> distribution.
        components: kind -> bare name -> namespace.
        weights: bare name -> namespace.
        zoo: name of a published network, ``project/network`` -> namespace.
        backbones: name of a backbone preset -> namespaces that it needs.
        recipes: name with ``{backbone}`` -> method -> namespaces that it needs.
        models: name -> method -> namespaces that it needs; those that are not recipe times backbone.
        methods: name -> namespace, those of the core among them.
    """

    distributions: Mapping[str, str]
    components: Mapping[str, Mapping[str, str]]
    weights: Mapping[str, str]
    zoo: Mapping[str, str]
    backbones: Mapping[str, list[str]]
    recipes: Mapping[str, Mapping[str, list[str]]]
    models: Mapping[str, Mapping[str, list[str]]]
    methods: Mapping[str, str]


# Read once a process: the catalogue and every piece of advice ask for it.
@cache
def known_names() -> KnownNames:
    """The table that comes with the core."""
    return KnownNames(
        **json.loads((files("pose_core.catalog") / "known_names.json").read_text(encoding="utf-8"))
    )
