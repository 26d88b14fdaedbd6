"""``pose show NAME``."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from pose_core.catalog import Catalog, Component, Model, Weights, get_catalog
from pose_core.catalog.kinds import InstalledKind
from pose_core.cli.tables import print_json
from pose_core.errors import ConfigError
from pose_core.hooks import MethodSpec


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of a model, a method, weights, a component, or a kind of these (backbone, method ...).",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a name stands for.

    For a model: the settings it is made of. For a component (a backbone, head, reader ...): its settings and
    their defaults. For a method: how it predicts, and its models. For a kind: all that is installed of it.
    """
    catalog = get_catalog()
    namespace, _, bare = name.rpartition("/")
    models = [m for m in catalog.models() if m.name == bare and namespace in ("", m.plugin.name)]
    components = [
        (kind, c)
        for kind in catalog.kinds
        for c in catalog.components(kind)
        if c.name == bare and namespace in ("", c.plugin.name)
    ]
    # A name may be a model, a component and a kind at a time; all of them are shown.
    kinds = [catalog.kinds[name]] if name in catalog.kinds else []
    methods = [m for m in catalog.methods() if m.name == bare]
    weights = [w for w in catalog.weights() if w.name == bare and namespace in ("", w.plugin.name)]
    described = [
        *(_describe_kind(kind, catalog) for kind in kinds),
        *([_list_methods(catalog)] if name in ("method", "methods") else []),
        *(_describe_method(m, catalog) for m in methods),
        *(_describe_model(m) for m in models),
        *(_describe_weights(w) for w in weights),
        *(_describe_component(kind, c) for kind, c in components),
    ]
    if not described:
        raise _make_error(name, catalog)
    if json:
        print_json(described)
        return
    # Not for --json, and it takes a while to import.
    import yaml

    for entry in described:
        typer.echo(yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=110))


def _make_error(name: str, catalog: Catalog) -> ConfigError:
    """Word the error for a name of nothing, with names of components that are close."""
    names = sorted(
        {n for kind in catalog.kinds for c in catalog.components(kind) for n in (c.full_name, c.name)}
        | {m.name for m in catalog.methods()}
    )
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.75)
    kinds = [kind for kind in ("method", *catalog.kinds) if name.casefold() in (kind, f"{kind}s")]
    others = [f"{kinds[0]} is a kind: 'pose show {kinds[0]}'"] if kinds else near
    return ConfigError(f"{catalog.nothing(name)}{f' (there is also {others[0]})' if others else ''}")


def _list_methods(catalog: Catalog) -> dict[str, object]:
    return {
        "kind": "method",
        "summary": "a way of predicting: what the network sees, and which stages predict with it",
        "methods": {method.name: method.summary for method in catalog.methods()},
    }


def _describe_method(method: MethodSpec, catalog: Catalog) -> dict[str, object]:
    return {
        "method": method.name,
        "summary": method.summary,
        "the network sees": f"the whole {method.view}" if method.view == "frame" else f"one {method.view}",
        "animals in a frame": method.animals,
        **({"inputs": list(method.inputs)} if method.inputs else {}),
        "stages": _make_plain(method.stages),
        "models": sorted({m.name for m in catalog.models() if m.method == method.name}),
    }


def _describe_weights(weights: Weights) -> dict[str, object]:
    definition = weights.definition
    return {
        "weights": weights.full_name,
        "fit": f"{weights.part} {definition.model}",
        "source": definition.source,
        "license": definition.license,
        "url": definition.url,
        **({"keypoints": list(definition.keypoints)} if definition.keypoints else {}),
    }


def _describe_kind(kind: InstalledKind, catalog: Catalog) -> dict[str, object]:
    row = kind.row
    return {
        "kind": row.name,
        "summary": row.summary,
        "distribution": kind.distribution,
        **({"interface": row.interface} if row.interface else {}),
        **({"config": row.config} if row.config else {}),
        "components": {
            component.full_name: component.definition.summary for component in catalog.components(row.name)
        },
    }


def _describe_model(model: Model) -> dict[str, object]:
    return {
        "model": model.full_name,
        "method": model.method,
        "family": model.family,
        "summary": model.summary,
        "distribution": f"{model.plugin.distribution} {model.plugin.version}",
        "spec": _make_plain(model.spec()),
    }


def _describe_component(kind: str, component: Component) -> dict[str, object]:
    # A kind that a plugin opened may do without a config.
    fields = component.config_class().model_fields if component.definition.config else {}
    settings = {
        name: {
            "default": "required"
            if field.is_required()
            else _make_plain(field.get_default(call_default_factory=True)),
            **({"about": field.description} if field.description else {}),
        }
        for name, field in fields.items()
        if name != "type"
    }
    return {
        kind: component.full_name,
        "summary": component.definition.summary,
        "distribution": f"{component.plugin.distribution} {component.plugin.version}",
        "settings": settings,
    }


def _make_plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): _make_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_plain(v) for v in value]
    # A plain str: YAML writes no subclasses, such as enumerations.
    return str(value) if isinstance(value, str) else value
