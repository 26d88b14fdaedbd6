"""Makes ``pose_core/catalog/known_names.json``: which distribution of this repository brings which names.

``python tools/known_names.py`` (``make tables``) writes it; ``tests/test_known_names.py`` fails when it is stale.
All plugins of the repository must be installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "pose_core" / "catalog" / "known_names.json"


def known() -> dict[str, Any]:
    """The table; see :class:`pose_core.catalog.known_names.KnownNames`."""
    from pose_core.catalog import get_catalog
    from pose_core.catalog.composition import Composer

    ours = [r for r in get_catalog().plugins if r.first_party and r.definitions and r.distribution != "pose-core"]
    composer = Composer(ours)
    components: dict[str, dict[str, str]] = {}
    weights: dict[str, str] = {}
    backbones: dict[str, list[str]] = {}
    recipes: dict[str, dict[str, list[str]]] = {}
    models: dict[str, dict[str, list[str]]] = {}
    for plugin in ours:
        for component in plugin.definitions.get("pose_components", ()):
            once(components.setdefault(component.kind, {}), component.name, plugin.name)
        for spec in plugin.definitions.get("pose_weights", ()):
            once(weights, spec.name, plugin.name)
        for preset in plugin.definitions.get("pose_backbones", ()):
            once(backbones, preset.name, sorted({plugin.name} | composer.needs({"backbone": preset.backbone})))
    for model in composer.models():
        presets = model.plugin.definitions.get("pose_models", ())
        if any((preset.name, preset.method) == (model.name, model.method) for preset in presets):
            once(models.setdefault(model.name, {}), model.method, list(model.needs))
    for recipe, plugin in composer.recipes():
        needs = sorted({plugin.name} | composer.needs(recipe.spec, {"model": {"backbone": recipe.wrapper}}))
        once(recipes.setdefault(recipe.name, {}), recipe.method, needs)
    return {
        "distributions": {plugin.name: plugin.distribution for plugin in ours},
        "components": components,
        "weights": weights,
        "backbones": backbones,
        "recipes": recipes,
        "models": models,
    }


def once(table: dict[str, Any], name: str, value: object) -> None:
    """Enter a name; two plugins of ours with the same name would make it ambiguous for users."""
    if name in table:
        raise ValueError(f"{name!r} is offered by {table[name]} and by {value}; rename one")
    table[name] = value


def text() -> str:
    """The file as it should be."""
    return json.dumps(known(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
