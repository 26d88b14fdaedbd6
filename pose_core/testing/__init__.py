"""Help the tests of plugins: synthetic scenes, projects, conformance checks."""

from pose_core.synthetic.projects import Example, scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneFrame, SceneSpec
from pose_core.testing.checks.check import Check, NotApplicable, check, demand
from pose_core.testing.checks.targets import ComponentSubject
from pose_core.testing.conformance import parametrize_with_checks

__all__ = [
    "Check",
    "ComponentSubject",
    "Example",
    "NotApplicable",
    "Scene",
    "SceneFrame",
    "SceneSpec",
    "check",
    "demand",
    "parametrize_with_checks",
    "scene_examples",
    "write_project",
]
