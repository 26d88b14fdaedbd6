"""``pose plugins``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pose_core.catalog import Catalog, Model, get_catalog
from pose_core.catalog.install_hints import advice
from pose_core.cli.tables import print_json, print_table
from pose_core.plugins import PluginRecord


def plugins(
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Also the hooks that each implements, and the time it took to load."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed plugins, and whether each of them works.

    Where one did not load, the reason is given; POSE_DISABLE_PLUGINS=NAME leaves one out.
    """
    catalog = get_catalog()
    notes = (catalog.notes(), _note_incomplete(catalog))
    rows: list[dict[str, Any]] = [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "status": record.status,
            # A plugin that did not load has no other notes; of an active one there may be several.
            "reason": record.reason or "; ".join(n[record.name] for n in notes if record.name in n),
            "summary": record.info.summary if record.info is not None else "",
            **(_list_details(record) if verbose else {}),
        }
        for record in catalog.plugins
    ]
    if json:
        print_json(rows)
    else:
        shown = [{**row, "about": row["reason"] or row["summary"]} for row in rows]
        if verbose:
            for row in shown:
                row["load"] = f"{1000 * row['load_seconds']:.1f} ms"
                row["hooks"] = (
                    ", ".join(f"{name.removeprefix('pose_')} {n}" for name, n in row["hooks"].items()) or "-"
                )
        columns = ("load", "hooks") if verbose else ()
        print_table(shown, ("name", "distribution", "version", "status", *columns, "about"))


def _note_incomplete(catalog: Catalog) -> dict[str, str]:
    """Note, by plugin, how many models need a plugin that is not there, and what to install."""
    lacking: dict[str, list[Model]] = {}
    for model in catalog.incomplete():
        lacking.setdefault(model.plugin.name, []).append(model)
    notes = {}
    for plugin, models in lacking.items():
        needs = {namespace for model in models for namespace in model.needs}
        count = f"{len(models)} of its models are" if len(models) > 1 else f"its model {models[0].name} is"
        notes[plugin] = f"{count} not offered; {advice(needs, catalog.plugins)}"
    return notes


def _list_details(record: PluginRecord) -> dict[str, Any]:
    """The hook API it was written for, how much each hook returned, and the seconds to import and ask it."""
    return {
        "hook_api": record.info.hook_api if record.info is not None else "",
        "hooks": {name: len(definitions) for name, definitions in record.definitions.items()},
        "load_seconds": record.load_seconds,
    }
