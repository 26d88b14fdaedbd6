"""Turn synthetic scenes into labelled projects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pose_core.formats.project_writing import Example, write_project
from pose_core.synthetic.encode import write_video
from pose_core.synthetic.scenes import Scene

__all__ = ["Example", "scene_examples", "write_project", "write_video_project"]


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


def write_video_project(folder: Path, scene: Scene, frames: Iterable[int], *, name: str) -> Path:
    """Write a scene as a video, and a project of labelled frames of it.

    Args:
        folder: of the project; the video becomes ``videos/NAME.mp4`` in it.
        scene: what is shown, with all its frames.
        frames: numbers of those that are labelled.
        name: of the project.

    Returns:
        the video.
    """
    video = folder / "videos" / f"{name}.mp4"
    video.parent.mkdir(parents=True)
    write_video(video, (frame.image for frame in scene))
    place = video.relative_to(folder).as_posix()
    labelled = ((t, scene.frame(t)) for t in frames)
    examples = (Example(place, None, frame.instances, frame.occluded, frame=t) for t, frame in labelled)
    write_project(folder, scene.skeleton, examples, name=name)
    return video
