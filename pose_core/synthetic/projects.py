"""Turn synthetic scenes into labelled projects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pose_core.formats.project_writing import Example, write_project
from pose_core.synthetic.scenes import Scene

__all__ = ["Example", "scene_examples", "write_project"]


def scene_examples(scene: Scene, frames: Iterable[int], folder: str) -> Iterator[Example]:
    """Render frames of a scene as labelled images for :func:`write_project`.

    Their names are ``folder/0007.png``, with the number of the frame.

    Args:
        scene: what is shown.
        frames: numbers of the frames.
        folder: below the project's ``images/``.
    """
    for t in frames:
        frame = scene.frame(t)
        yield Example(f"{folder}/{t:04d}.png", frame.image, frame.instances, frame.occluded)
