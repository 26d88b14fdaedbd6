"""SLEAP's side of the comparison of files: writes projects and reads predictions with sleap-io.

Runs in an environment of its own, with sleap-io 0.9.5: ``python parity/sleap_oracle.py write FOLDER``, ``read
FILE`` or ``merge PROJECT PREDICTIONS OUT``. The last line that it prints is the answer, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sleap_io as sio

NODES = ["nose", "ear_r", "ear_l", "tail", "paw_a", "paw_b"]


def write(folder: Path) -> list[Path]:
    """Write a project of ``clip.mp4`` and ``image0.png`` to ``image2.png`` in a folder, and its package.

    Three tracks, two symmetric pairs, suggestions, a negative frame, a prediction with a correction, and one
    without.
    """
    skeleton = sio.Skeleton(
        nodes=NODES,
        edges=[("nose", "tail"), ("nose", "ear_l"), ("nose", "ear_r")],
        symmetries=[("ear_l", "ear_r"), ("paw_b", "paw_a")],
        name="mouse",
    )
    clip = sio.Video.from_filename(str(folder / "clip.mp4"))
    images = sio.Video.from_filename([str(folder / f"image{i}.png") for i in range(3)])
    tracks = [sio.Track(name) for name in ("Ada", "Bea", "Cleo")]
    rng = np.random.default_rng(0)

    def points() -> Any:
        return rng.uniform(2, 44, (6, 2))

    def user(track: Any = None, **more: Any) -> Any:
        return sio.Instance.from_numpy(points(), skeleton=skeleton, track=track, **more)

    def predicted(track: Any, score: float) -> Any:
        return sio.PredictedInstance.from_numpy(
            points(), skeleton=skeleton, point_scores=rng.uniform(0, 1, 6), score=score, track=track
        )

    hole = points()
    hole[2] = np.nan
    corrected = predicted(tracks[2], 0.7)
    frames = [
        sio.LabeledFrame(
            clip,
            3,
            [sio.Instance.from_numpy(hole, skeleton=skeleton, track=tracks[0]), user(tracks[1])],
        ),
        sio.LabeledFrame(clip, 5, [corrected, user(tracks[2], from_predicted=corrected)]),
        sio.LabeledFrame(clip, 6, [predicted(tracks[0], 3.5)]),
        sio.LabeledFrame(clip, 8, [], is_negative=True),
        sio.LabeledFrame(images, 1, [user()]),
    ]
    suggestions = [sio.SuggestionFrame(clip, 10), sio.SuggestionFrame(images, 2)]
    labels = sio.Labels(frames, suggestions=suggestions)
    labels.save(str(folder / "project.slp"))
    labels.save(str(folder / "project.pkg.slp"), embed="user+suggestions")
    return [folder / "project.slp", folder / "project.pkg.slp"]


def describe(labels: Any) -> dict[str, Any]:
    """What is in a file, as plain values; NaN as None."""
    skeleton = labels.skeletons[0]
    return {
        "nodes": skeleton.node_names,
        "edges": [[edge.source.name, edge.destination.name] for edge in skeleton.edges],
        "pairs": sorted(sorted(node.name for node in pair.nodes) for pair in skeleton.symmetries),
        "tracks": [track.name for track in labels.tracks],
        "videos": [_describe_video(video) for video in labels.videos],
        "suggestions": sorted([labels.videos.index(s.video), s.frame_idx] for s in labels.suggestions),
        "frames": [_describe_frame(labels, frame) for frame in labels.labeled_frames],
    }


def _describe_video(video: Any) -> Any:
    names = video.filename if isinstance(video.filename, list) else [video.filename]
    return [Path(name).name for name in names]


def _describe_frame(labels: Any, frame: Any) -> dict[str, Any]:
    return {
        "video": labels.videos.index(frame.video),
        "frame": int(frame.frame_idx),
        "negative": bool(frame.is_negative),
        "instances": [_describe_instance(instance) for instance in frame.instances],
    }


def _describe_instance(instance: Any) -> dict[str, Any]:
    is_predicted = isinstance(instance, sio.PredictedInstance)
    return {
        "points": _plain(instance.numpy()),
        "predicted": is_predicted,
        "track": None if instance.track is None else instance.track.name,
        "corrects": instance.from_predicted is not None,
        "score": float(instance.score) if is_predicted else None,
        "point_scores": _plain(instance.points["score"]) if is_predicted else None,
    }


def _plain(values: Any) -> Any:
    return json.loads(json.dumps(np.asarray(values, float).tolist()).replace("NaN", "null"))


def merge(project: Path, predictions: Path, out: Path) -> Any:
    """Merge predictions into a project, as "Merge Data From" does; what is in it then."""
    labels = sio.load_slp(str(project))
    labels.merge(sio.load_slp(str(predictions)))
    labels.save(str(out))
    return describe(sio.load_slp(str(out)))


def main(arguments: list[str]) -> None:
    verb, *paths = arguments
    places = [Path(path) for path in paths]
    if verb == "write":
        answer: Any = [describe(sio.load_slp(str(path))) for path in write(places[0])]
    elif verb == "read":
        answer = describe(sio.load_file(str(places[0])))
    else:
        answer = merge(*places)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
