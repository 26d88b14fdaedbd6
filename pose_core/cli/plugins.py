"""``pose plugins``."""

from __future__ import annotations

from typing import Annotated

import typer

from pose_core.catalog import get_catalog
from pose_core.cli.tables import print_json, print_table


def plugins(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the installed plugins and what became of each."""
    catalog = get_catalog()
    notes = catalog.notes()
    rows = [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "status": record.status,
            "reason": record.reason or notes.get(record.name, ""),
            "summary": record.info.summary if record.info is not None else "",
        }
        for record in catalog.plugins
    ]
    if json:
        print_json(rows)
    else:
        shown = [{**row, "reason": row["reason"] or row["summary"]} for row in rows]
        print_table(
            [{**row, "about": row["reason"]} for row in shown], ("name", "distribution", "version", "status", "about")
        )
