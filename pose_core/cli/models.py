"""``pose models``, ``pose detectors`` and ``pose writers``."""

from __future__ import annotations

from typing import Annotated

import typer

from pose_core.catalog import get_catalog
from pose_core.cli.tables import print_json, print_table


def models(
    method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Only models of this method, such as top_down.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be trained."""
    # Checked by hand: a choice of click would be fixed on import, before plugins are known.
    methods = [m.name for m in get_catalog().methods()]
    if method is not None and method not in methods:
        raise typer.BadParameter(f"{method!r} is not one of {', '.join(methods)}", param_hint="--method")
    rows = [
        {
            "name": model.name,
            "method": model.method,
            "family": model.family,
            "plugin": model.plugin.name,
            "full_name": model.full_name,
            "distribution": model.plugin.distribution,
            "summary": model.summary,
        }
        for model in get_catalog().models()
        if method in (None, model.method)
    ]
    if json:
        print_json(rows)
    elif rows:
        # JSON has all columns; on a terminal the full name would only repeat plugin and name.
        print_table(rows, ("name", "method", "family", "plugin", "summary"))
    else:
        typer.echo("no models are installed; 'pose plugins' tells what is")


def writers(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the formats that predictions can be written in."""
    _list_components("writer", json)


def detectors(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the detectors that top-down models can use."""
    _list_components("detector", json)


def _list_components(kind: str, json: bool) -> None:
    rows = [
        {
            "name": component.name,
            "plugin": component.plugin.name,
            "full_name": component.full_name,
            "distribution": component.plugin.distribution,
            "summary": component.definition.summary,
        }
        for component in get_catalog().components(kind)
    ]
    if json:
        print_json(rows)
    elif rows:
        print_table(rows, ("name", "plugin", "summary"))
    else:
        typer.echo(f"no {kind}s are installed")
