"""``pose weights``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pose_core.catalog import get_catalog
from pose_core.cli.tables import print_json, print_table


def weights(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List pretrained weights to start from, and published networks to predict with.

    What they were trained on, their licence, and the file that they are kept in; 'pose train --weights NAME'
    starts from weights. Networks, whose names are PROJECT/NETWORK, stand wherever the folder of a run may stand:
    'pose predict NAME VIDEO'.
    """
    from pose_core.model.pretrained import locate_network, remote_file

    rows: list[dict[str, Any]] = []
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
    for network in get_catalog().zoo():
        published, file = network.definition, locate_network(network)
        # A copy that another program keeps is as good.
        path = next((place for place in (file.path, *file.elsewhere) if place.is_file()), file.path)
        here = path.is_file()
        rows.append(
            {
                "name": network.name,
                "fits": published.project,
                "part": "pose network" if published.trains == "poses" else "detector",
                "license": published.license,
                "source": published.source,
                "keypoints": list(published.keypoints),
                "plugin": network.plugin.name,
                "full_name": network.full_name,
                "distribution": network.plugin.distribution,
                "url": file.url,
                "sha256": published.sha256,
                "path": str(path),
                "here": here,
                "bytes": path.stat().st_size if here else published.size or None,
            }
        )
    if json:
        print_json(rows)
    elif rows:
        shown = [
            {
                **row,
                "keypoints": len(row["keypoints"]) or "",
                "size": f"{row['bytes'] / 1e6:.0f} MB" if row["bytes"] else "?",
                "here": "yes" if row["here"] else "no",
            }
            for row in rows
        ]
        print_table(shown, ("name", "fits", "part", "keypoints", "license", "source", "size", "here", "path"))
    else:
        typer.echo("no installed plugin offers pretrained weights by name")
