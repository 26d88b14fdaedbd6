"""``pose weights``."""

from __future__ import annotations

from typing import Annotated

import typer

from pose_core.catalog import get_catalog
from pose_core.cli.tables import print_json, print_table


def weights(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List pretrained weights to start from.

    What they were trained on, their licence, and the file that they are kept in; 'pose train --weights NAME'
    starts from them.
    """
    from pose_core.model.pretrained import remote_file

    rows = []
    for found in get_catalog().weights():
        spec, path = found.definition, remote_file(found.definition).path
        here = path.is_file()
        rows.append(
            {
                "name": found.name,
                "fits": spec.model,
                "part": found.part,
                "license": spec.license,
                "source": spec.source,
                "keypoints": list(spec.keypoints),
                "plugin": found.plugin.name,
                "full_name": found.full_name,
                "distribution": found.plugin.distribution,
                "url": spec.url,
                "sha256": spec.sha256,
                "path": str(path),
                "here": here,
                "bytes": path.stat().st_size if here else None,
            }
        )
    if json:
        print_json(rows)
    elif rows:
        shown = [{**row, "here": f"{row['bytes'] / 1e6:.0f} MB" if row["here"] else "no"} for row in rows]  # type: ignore[operator]
        print_table(shown, ("name", "fits", "part", "license", "source", "here", "path"))
    else:
        typer.echo("no installed plugin offers pretrained weights by name")
