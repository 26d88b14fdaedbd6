"""``pose licenses``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core import __version__
from pose_core.cli.tables import print_json, print_table

_CORE = "BSD-3-Clause"


def licenses(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN|NAME",
            help="A YAML file, a run folder, or the name of a published network, as 'pose weights' lists them.",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the licences of what a configuration or a run uses.

    For code: the core, the plugins and the packages that they require, as their metadata say. For weights:
    those that training starts from, or that a published network consists of.
    """
    from pose_core.catalog.distributions import license_of, name_and_version
    from pose_core.specs.usage import find_used

    used = find_used(path)
    rows = [{"what": "code", "name": f"pose-core {__version__}", "license": _CORE, "source": "the core"}]
    for plugin in used.plugins():
        # The core's own components come as a plugin of the core, which is the first row already.
        if plugin.info is not None and plugin.distribution != "pose-core":
            name = f"{plugin.distribution} {plugin.version}"
            rows.append({"what": "code", "name": name, "license": plugin.info.license, "source": "a plugin"})
    for required, by in used.third_party().items():
        source = f"required by {', '.join(by)}"
        rows.append(
            {
                "what": "third party",
                "name": name_and_version(required),
                "license": license_of(required),
                "source": source,
            }
        )
    rows += [{"what": "weights", **about} for about in used.weights]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("what", "name", "license", "source"))
