"""Labelled projects made of synthetic scenes, for demos and for the tests of readers, models and plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pose_core.formats.project_writing import Example, write_project
from pose_core.synthetic.scenes import Scene

__all__ = ["Example", "scene_examples", "write_project"]


def scene_examples(scene: Scene, frames: Iterable[int], folder: str) -> Iterator[Example]:
    """Frames of a scene as labelled images ``folder/0007.png``, for :func:`write_project`.

    Args:
        scene: what is shown.
        frames: numbers of the frames.
        folder: below the project's ``images/``.
    """
    for t in frames:
        frame = scene.frame(t)
        yield Example(f"{folder}/{t:04d}.png", frame.image, frame.instances, frame.occluded)
