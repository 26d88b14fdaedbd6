"""Makes ``pose_core/catalog/known_names.json``: which distribution of this repository brings which names.

``python tools/known_names.py [--check]`` (``make tables``) writes it; ``tests/test_known_names.py`` fails
when it is stale. All plugins of the repository must be installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "pose_core" / "catalog" / "known_names.json"


def known() -> dict[str, Any]:
    """The table; see :class:`pose_core.catalog.known_names.KnownNames`."""
    from pose_core.catalog import get_catalog
    from pose_core.catalog.composition import Composer

    ours = [
        r for r in get_catalog().plugins if r.first_party and r.definitions and r.distribution != "pose-core"
    ]
    composer = Composer(ours)
    components: dict[str, dict[str, str]] = {}
    weights: dict[str, str] = {}
    zoo: dict[str, str] = {}
    backbones: dict[str, list[str]] = {}
    recipes: dict[str, dict[str, list[str]]] = {}
    models: dict[str, dict[str, list[str]]] = {}
    methods: dict[str, str] = {}
    for plugin in (r for r in get_catalog().plugins if r.first_party):
        for method in plugin.definitions.get("pose_methods", ()):
            once(methods, method.name, plugin.name)
    for plugin in ours:
        for component in plugin.definitions.get("pose_components", ()):
            once(components.setdefault(component.kind, {}), component.name, plugin.name)
        for spec in plugin.definitions.get("pose_weights", ()):
            once(weights, spec.name, plugin.name)
        for network in plugin.definitions.get("pose_zoo", ()):
            once(zoo, network.name, plugin.name)
        for preset in plugin.definitions.get("pose_backbones", ()):
            # What the preset wants in any model, such as a neck, is needed with it.
            parts = composer.needs({"model": {"backbone": preset.backbone}}, preset.spec)
            once(backbones, preset.name, sorted({plugin.name} | parts))
    for model in composer.models():
        presets = model.plugin.definitions.get("pose_models", ())
        if any((preset.name, preset.method) == (model.name, model.method) for preset in presets):
            once(models.setdefault(model.name, {}), model.method, list(model.needs))
    for recipe, plugin in composer.recipes():
        parts = composer.needs(recipe.spec, {"model": {"backbone": recipe.wrapper}})
        needs = sorted({plugin.name} | composer.of_method(recipe.method) | parts)
        once(recipes.setdefault(recipe.name, {}), recipe.method, needs)
    return {
        "distributions": {plugin.name: plugin.distribution for plugin in ours},
        "components": components,
        "weights": weights,
        "zoo": zoo,
        "backbones": backbones,
        "recipes": recipes,
        "models": models,
        "methods": methods,
    }


def once(table: dict[str, Any], name: str, value: object) -> None:
    """Enter a name; two plugins of ours with the same name would make it ambiguous for users."""
    if name in table:
        raise ValueError(f"{name!r} is offered by {table[name]} and by {value}; rename one")
    table[name] = value


def text() -> str:
    """The file as it should be."""
    return json.dumps(known(), indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write the file; with ``--check`` only say whether it is stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with code 1 where it is stale"
    )
    check = parser.parse_args().check
    made = text()
    if made == FILE.read_text(encoding="utf-8"):
        print(f"{FILE.name}: up to date")
        return 0
    if not check:
        FILE.write_text(made, encoding="utf-8")
    print(f"{FILE.name}: {'stale: make tables' if check else 'written'}")
    return 1 if check else 0


if __name__ == "__main__":
    sys.exit(main())
