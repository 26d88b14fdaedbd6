"""Say which part of videos the runs of a project predict."""

from __future__ import annotations

from pose_core.errors import argument, command
from pose_core.specs.data import DataSpec

_LISTED = 3


def describe_crops(data: DataSpec) -> tuple[str, ...]:
    """Describe the crop that a project has, in one line; empty where it has none."""
    if data.crop is None and not data.video_crops:
        return ()
    parts = [] if data.crop is None else [str(data.crop)]
    names = list(data.video_crops)
    parts += [f"{name}: {data.video_crops[name]}" for name in names[:_LISTED]]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    note = (
        f"the project crops videos ({'; '.join(parts)}{more}): {command('predict')} does so, too; "
        f"{argument('crop', 'none')} there predicts whole frames"
    )
    return (note,)
