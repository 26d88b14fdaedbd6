"""Stands for sleap-io where parity/sleap_files.py is tested: h5py tables, with the same questions and answers.

``python fake_sleap.py write FOLDER``, ``read FILE``, ``merge PROJECT PREDICTIONS OUT``.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pose_sleap.slp_file import SlpFile, open_slp
from slp_projects import Animal, SlpProject, embedded_video, image_video, media_video

from pose_core.io.images import read_image_file
from pose_core.synthetic.videos import draw_number

NODES = ["nose", "ear_r", "ear_l", "tail", "paw_a", "paw_b"]


def write(folder: Path) -> list[dict[str, Any]]:
    """Write a project with a video and images, and its package."""
    rng = np.random.default_rng(0)

    def animal(track: int = -1, **more: Any) -> Animal:
        return Animal(rng.uniform(2, 44, (6, 2)), track, **more)

    images = [folder / f"image{i}.png" for i in range(3)]
    project = SlpProject(
        nodes=NODES,
        edges=[(0, 3), (0, 2), (0, 1)],
        pairs=[(1, 2), (4, 5)],
        tracks=["Ada", "Bea", "Cleo"],
        videos=[media_video(str(folder / "clip.mp4")), image_video([str(image) for image in images])],
        frames=[
            (0, 3, [animal(0), animal(1)]),
            (0, 5, [animal(2, score=0.7), animal(2, made_from=0)]),
            (1, 1, [animal()]),
        ],
        negative=[(0, 8)],
        suggestions=[(0, 10), (1, 2)],
    )
    first = describe(project.write(folder / "project.slp"))
    project.attributes = {"channel_order": "RGB"}
    project.embedded = {
        0: {frame: draw_number(frame, 64, 48) for frame in (3, 5, 8, 10)},
        1: {frame: read_image_file(images[frame]) for frame in (1, 2)},
    }
    project.videos = [embedded_video(i, video) for i, video in enumerate(project.videos)]
    return [first, describe(project.write(folder / "project.pkg.slp"))]


def describe(path: Path) -> dict[str, Any]:
    """What is in a file; one that is no .slp is an analysis file."""
    if path.suffix == ".h5":
        return _describe_analysis(path)
    with open_slp(path) as slp:
        (skeleton,) = slp.skeletons
        frames, table = slp.read_frames(), slp.read_instances()
        negative = {tuple(row) for row in slp.read_negative_frames().tolist()}
        found = []
        for video, number, first, last in zip(
            frames.video.tolist(),
            frames.frame.tolist(),
            frames.first.tolist(),
            frames.last.tolist(),
            strict=True,
        ):
            instances = [_describe_instance(slp, row, len(skeleton.nodes)) for row in table[first:last, None]]
            place = (video, number)
            found.append(
                {"video": video, "frame": number, "negative": place in negative, "instances": instances}
            )
        known = {(frame["video"], frame["frame"]) for frame in found}
        found += [
            {"video": video, "frame": number, "negative": True, "instances": []}
            for video, number in sorted(negative - known)
        ]
        return {
            "nodes": list(skeleton.nodes),
            "edges": [list(edge) for edge in skeleton.edges],
            "pairs": sorted(sorted(pair) for pair in skeleton.pairs),
            "tracks": slp.tracks,
            "videos": [video.get("filename") for video in slp.videos],
            "suggestions": sorted(slp.read_suggestions().tolist()),
            "frames": sorted(found, key=lambda frame: (frame["video"], frame["frame"])),
        }


def _describe_instance(slp: SlpFile, row: Any, nodes: int) -> dict[str, Any]:
    points, scores, _ = slp.read_points(row, nodes)
    track, predicted = int(row["track"][0]), bool(row["instance_type"][0])
    return {
        "points": json.loads(json.dumps(points[0].tolist()).replace("NaN", "null")),
        "predicted": predicted,
        "track": slp.tracks[track] if track >= 0 else None,
        "score": float(row["score"][0]),
        "point_scores": scores[0].tolist(),
    }


def _describe_analysis(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        tracks, names = file["tracks"][()], [name.decode() for name in file["track_names"][()]]
        scores, points = file["instance_scores"][()], file["point_scores"][()]
        there = file["track_occupancy"][()]
    frames = []
    for frame in range(tracks.shape[3]):
        instances = [
            {
                "points": json.loads(json.dumps(tracks[row, :, :, frame].T.tolist()).replace("NaN", "null")),
                "predicted": True,
                "track": names[row],
                "score": float(scores[row, frame]),
                "point_scores": np.nan_to_num(points[row, :, frame]).tolist(),
            }
            for row in np.flatnonzero(there[frame])
        ]
        frames.append({"video": 0, "frame": frame, "instances": instances})
    return {"frames": frames}


def merge(project: Path, predictions: Path, out: Path) -> dict[str, Any]:
    """Add the frames of predictions to those of a project."""
    shutil.copy(project, out)
    both = describe(project)
    both["frames"] += describe(predictions)["frames"]
    return both


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    answer = {"write": write, "read": describe, "merge": merge}[verb](*map(Path, paths))
    print(json.dumps(answer))
