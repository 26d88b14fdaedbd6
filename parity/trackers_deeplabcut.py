"""DeepLabCut's side of parity/trackers.py: its ellipse tracker and its stitching, as ``analyze_videos`` runs them.

Runs in an environment of its own that has deeplabcut. ``python trackers_deeplabcut.py FOLDER`` goes through the
scenes of a folder and writes ``SCENE.deeplabcut.npz`` with the poses (T, N, K, 3) of its N tracks.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import deeplabcut
import numpy as np
import yaml
from deeplabcut.pose_estimation_pytorch.apis.tracklets import build_tracklets
from deeplabcut.refine_training_dataset.stitch import TrackletStitcher


def main(folder: Path) -> None:
    # Notes of its fallbacks, of which every scene has some.
    warnings.simplefilter("ignore")
    defaults = yaml.safe_load((Path(deeplabcut.__file__).parent / "inference_cfg.yaml").read_text())
    for scene in sorted(folder.glob("*.npz")):
        # Not what another tracker wrote.
        if "." not in scene.stem:
            np.savez(scene.with_suffix(".deeplabcut.npz"), poses=track(scene, defaults))


def track(scene: Path, defaults: dict) -> np.ndarray:
    """The poses of each track."""
    content = np.load(scene)
    points, scores, animals = content["points"], content["scores"], int(content["animals"])
    frames, _, keypoints, _ = points.shape
    assemblies = {}
    for frame in range(frames):
        # No more than the project has, those with the highest scores: what its models give in a frame.
        best = np.argsort(-scores[frame], kind="stable")[:animals]
        found = points[frame][best[scores[frame][best] > 0]]
        # Its assemblies have a fourth column, the identity that was predicted.
        unknown = np.full((*found.shape[:2], 1), -1.0)
        assemblies[frame] = list(np.concatenate([found, unknown], axis=-1))
    joints = [f"p{number}" for number in range(keypoints)]
    tracklets = build_tracklets(
        assemblies_data=assemblies,
        track_method="ellipse",
        inference_cfg={**defaults, "topktoretain": animals},
        joints=joints,
        scorer="parity",
        num_frames=frames,
        unique_bodyparts=[],
    )
    try:
        stitcher = TrackletStitcher.from_dict_of_dict(tracklets, animals)
    except OSError:
        # "Tracklets are empty": none is long enough, and analyze_videos ends without a table.
        return np.full((frames, 0, keypoints, 3), np.nan)
    stitcher.build_graph()
    stitcher.stitch()
    poses = np.full((frames, len(stitcher.tracks), keypoints, 3), np.nan)
    for row, each in enumerate(stitcher.tracks):
        poses[each.inds, row] = each.data[..., :3]
    return poses


if __name__ == "__main__":
    main(Path(sys.argv[1]))
