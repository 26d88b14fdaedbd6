"""For tests of the core and of plugins: synthetic scenes with exact ground truth, projects, videos."""

from pose_core.formats.project_writing import Example, write_project
from pose_core.testing.scenes import Scene, SceneFrame, SceneSpec

__all__ = ["Example", "Scene", "SceneFrame", "SceneSpec", "write_project"]
