"""Config of the reader of the core's own project format. No torch."""

from pose_core.specs import ReaderConfig


class ProjectReaderConfig(ReaderConfig):
    """Nothing to set: the project says everything."""
