"""``pose cite``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core import __version__

# The core has no citations.bib, for it is no plugin.
_SELF = f"""@software{{pose_core,
  title={{pose_core: pose estimation with a minimal core}},
  author={{{{pose_core developers}}}}, year={{2026}}, version={{{__version__}}}}}"""


def cite(
    path: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="A YAML file, or a run folder.", show_default=False)
    ],
) -> None:
    """Print BibTeX of what a configuration or a run uses.

    It covers plugins, models, components and pose_core itself; each work appears once.
    """
    from pose_core.specs.usage import find_used

    print("\n\n".join([_SELF, *find_used(path).citations()]))
