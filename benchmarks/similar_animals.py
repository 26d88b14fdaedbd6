"""How similar two different animals become that cross: whether merging similar poses can take an animal away.

    python benchmarks/similar_animals.py [--scenes 6] [--frames 200]

The true poses of synthetic scenes (128 x 128 pixels, animals of 0.3 of the side), every third frame of each; a row
for each number of animals.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from pose_core.interfaces import compare_poses
from pose_core.synthetic.scenes import Scene, SceneSpec

ANIMALS, LIMITS = (2, 4, 6), (0.7, 0.85, 0.95)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--frames", type=int, default=200, help="of each scene")
    options = parser.parse_args()
    above = " | ".join(f"above {limit}" for limit in LIMITS)
    print(f"| animals | frames | {above} | most similar |\n|{'---|' * (3 + len(LIMITS))}")
    for animals in ANIMALS:
        most = np.concatenate([measure(seed, animals, options.frames) for seed in range(options.scenes)])
        shares = " | ".join(f"{100 * (most > limit).mean():.2f} %" for limit in LIMITS)
        print(f"| {animals} | {len(most)} | {shares} | {most.max():.2f} |", flush=True)


def measure(seed: int, animals: int, frames: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Measure how similar the two most similar animals of each frame of a scene are."""
    spec = SceneSpec(seed=seed, frames=3 * frames, size=(128, 128), animals=animals, clutter=0)
    scene = Scene(spec)
    poses = [[animal.pose(3 * n).keypoints for animal in scene.animals] for n in range(frames)]
    points = torch.from_numpy(np.array(poses, np.float32))
    similar = compare_poses(points, points)
    similar[:, range(animals), range(animals)] = 0.0
    return similar.amax((1, 2)).numpy()


if __name__ == "__main__":
    main()
