"""For tests of the core and of plugins: synthetic scenes with exact ground truth, projects, videos."""

from pose_core.testing.projects import Example, scene_examples, write_project
from pose_core.testing.scenes import Scene, SceneFrame, SceneSpec

__all__ = ["Example", "Scene", "SceneFrame", "SceneSpec", "scene_examples", "write_project"]
