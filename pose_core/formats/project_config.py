"""Config of the reader of the core's own projects. No torch."""

from pose_core.specs import ReaderConfig


class ProjectReaderConfig(ReaderConfig):
    """No settings: the project itself holds everything."""
