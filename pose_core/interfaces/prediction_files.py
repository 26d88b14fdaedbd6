"""Files of predictions: the writer of a format by its name, and files opened for reading."""

from __future__ import annotations

from pathlib import Path

from pose_core.catalog import get_catalog
from pose_core.errors import DataError, command
from pose_core.interfaces.writer import PredictionsStream, Writer
from pose_core.specs import WriterConfig, parse_component


def core_writer() -> Writer:
    """The writer of the core's own format, in which parts are kept."""
    return make_writer("core/parquet")


def make_writer(name: str) -> Writer:
    """The writer of a format.

    Args:
        name: of the format, or a YAML mapping with settings too: ``{type: NAME, setting: value}``.

    Raises:
        ConfigError: no such writer is installed, or a setting is wrong.
    """
    config = parse_component("writer", WriterConfig, name)
    writer: Writer = get_catalog().component("writer", config.type).factory()(config)
    return writer


def open_predictions(path: Path) -> PredictionsStream:
    """Predictions of any installed format that can be read back.

    Raises:
        DataError: no such file, or no installed format reads it.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; name a file that {command('predict')} wrote")
    components = get_catalog().components("writer")
    for component in components:
        # The first that accepts it: formats look at the content, so two rarely claim one file.
        if component.factory().reads(path):
            return make_writer(component.full_name).read(path)
    formats = ", ".join(c.name for c in components)
    others = get_catalog().not_installed("writer")
    raise DataError(f"{path}: not readable as predictions in any installed format ({formats}){others}")
