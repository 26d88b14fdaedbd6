"""Files of predictions, opened for reading."""

from __future__ import annotations

from pathlib import Path

from pose_core.catalog import get_catalog
from pose_core.errors import DataError
from pose_core.infer.journal import make_writer
from pose_core.interfaces import PredictionsStream


def open_predictions(path: Path) -> PredictionsStream:
    """Predictions of any installed format that can be read back.

    Raises:
        DataError: no such file, or no installed format reads it.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; name a file that 'pose predict' wrote")
    components = get_catalog().components("writer")
    for component in components:
        if component.factory().reads(path):
            return make_writer(component.full_name).read(path)
    formats = ", ".join(c.name for c in components)
    others = get_catalog().not_installed("writer")
    raise DataError(f"{path}: not readable as predictions in any installed format ({formats}){others}")
