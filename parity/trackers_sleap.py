"""SLEAP-NN's side of parity/trackers.py: its tracker, as ``sleap-nn track --max_tracks N`` runs it.

Runs in an environment of its own that has sleap-nn. ``python trackers_sleap.py FOLDER`` goes through the scenes of a
folder and writes ``SCENE.sleap-nn.npz`` with the poses (T, M, K, 3) of its M tracks.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import sleap_io as sio
from sleap_nn.inference.tracking import TrackerConfig, apply_tracking


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    for scene in sorted(folder.glob("*.npz")):
        # Not what another tracker wrote.
        if "." not in scene.stem:
            np.savez(scene.with_name(f"{scene.stem}.sleap-nn.npz"), poses=track(scene))


def track(scene: Path) -> np.ndarray:
    """The poses of each track."""
    content = np.load(scene)
    points, scores, animals = content["points"], content["scores"], int(content["animals"])
    frames, _, keypoints, _ = points.shape
    skeleton = sio.Skeleton([f"p{number}" for number in range(keypoints)])
    video = sio.Video(filename="scene.mp4", open_backend=False)
    labelled = []
    for frame in range(frames):
        # No more than there are animals, those with the highest scores: what its models give with --max_instances.
        best = np.argsort(-scores[frame], kind="stable")[:animals]
        found = [
            sio.PredictedInstance.from_numpy(
                points_data=points[frame, row, :, :2],
                point_scores=np.nan_to_num(points[frame, row, :, 2]),
                score=float(scores[frame, row]),
                skeleton=skeleton,
            )
            for row in best
            if scores[frame, row] > 0
        ]
        labelled.append(sio.LabeledFrame(video=video, frame_idx=frame, instances=found))
    labels = sio.Labels(labeled_frames=labelled, videos=[video], skeletons=[skeleton])
    tracked = apply_tracking(labels, TrackerConfig(max_tracks=animals, candidates_method="local_queues"))
    rows: dict[int, int] = {}
    placed = []
    for frame in tracked.labeled_frames:
        for instance in frame.instances:
            if instance.track is not None:
                row = rows.setdefault(id(instance.track), len(rows))
                placed.append((frame.frame_idx, row, instance))
    poses = np.full((frames, len(rows), keypoints, 3), np.nan)
    for at, row, instance in placed:
        poses[at, row] = instance.numpy(scores=True)
    return poses


if __name__ == "__main__":
    main(Path(sys.argv[1]))
