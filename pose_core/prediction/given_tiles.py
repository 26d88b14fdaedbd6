"""Parse what a caller says of tiles."""

from __future__ import annotations

from pose_core.errors import ConfigError, argument
from pose_core.prediction.frame_region import NONE

GivenTiles = int | tuple[int, int] | str | None
"""``SIZE`` or ``SIZE:OVERLAP`` as text, a number or a pair; ``none``; None: as the run says."""


def parse_tiles(given: GivenTiles) -> dict[str, int] | None:
    """Parse size and overlap of tiles, as ``inference.tiles`` has them; None where nothing is said or ``none``.

    Raises:
        ConfigError: it is no whole numbers.
    """
    if given is None or given == NONE:
        return None
    parts = given.split(":") if isinstance(given, str) else given if isinstance(given, tuple) else (given,)
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2):
        raise ConfigError(
            f"{argument('tiles', str(given))}: must be SIZE or SIZE:OVERLAP in pixels of the frame, such as 1280:320, "
            f"or {NONE}"
        )
    return dict(zip(("size", "overlap"), numbers, strict=False))
