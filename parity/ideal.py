"""The original's side: outputs as a trained network would put them out, and the animals that are read from
them.

Of a random network's fields, which animals come out is a matter of how each algorithm breaks ties and cuts
knots; of ideal fields of separated animals there is one answer. And a random network hardly finds an animal
twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from deeplabcut.pose_estimation_pytorch.data.postprocessor import build_bottom_up_postprocessor
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from deeplabcut.pose_estimation_pytorch.models.target_generators import (
    HeatmapGaussianGenerator,
    HeatmapPlateauGenerator,
    PartAffinityFieldGenerator,
)
from ties import unambiguous

SIZE = 512
"""Height and width of the image, in pixels."""
SCENES = 8


def fields(model: PoseModel, keypoints: int, animals: int, seed: int) -> dict[str, np.ndarray]:
    """Heatmaps (logits), location refinement and part affinity fields of random animals, and what is made of
    them.

    Targets of the original's own generators: the location refinement of its plateaus (the Gaussian one's is
    that of the last animal in all of the map), the heights of its Gaussians (its plateaus have equal cells
    side by side, each of which it takes for a keypoint).

    Returns:
        ``ideal.N.raw.{heatmap,locref,paf}`` and ``ideal.N.poses`` (A, K, 3), rows of -1 where there is no
        animal. With an identity head also ``ideal.N.raw.identity``, and then the row says which individual it
        is.
    """
    head, stride = model.heads["bodypart"], model.get_stride("bodypart")
    graph = [tuple(edge) for edge in head.predictor.graph]
    common = {"num_heatmaps": keypoints, "pos_dist_thresh": 17, "heatmap_mode": "KEYPOINT"}
    generators = (
        HeatmapGaussianGenerator(**common, generate_locref=False),
        HeatmapPlateauGenerator(**common, generate_locref=True),
        PartAffinityFieldGenerator(graph, width=20),
    )
    cells = int(SIZE / stride) + 1
    empty = torch.zeros(1, 1, cells, cells)
    shapes = {"heatmap": empty, "locref": empty, "paf": empty}
    identity = None
    if "identity" in model.heads:
        identity = HeatmapPlateauGenerator(animals, 17, heatmap_mode="INDIVIDUAL", generate_locref=False)
    found: dict[str, np.ndarray] = {}
    for number in range(SCENES):
        # Where a keypoint is missing the original's assignment of identities fails (its weights are no
        # numbers).
        drawn = _poses(number, keypoints, animals, seed + number, hidden=number % 2 == 1 and identity is None)
        names = np.where(
            (drawn > 0).any((1, 2)), np.random.default_rng(seed + number).permutation(animals), -1
        )
        labels = {"keypoints": torch.from_numpy(drawn)[None], "individual_ids": torch.from_numpy(names)[None]}
        gaussian, plateau, field = (generator(stride, shapes, labels) for generator in generators)
        maps: dict[str, torch.Tensor] = {
            "heatmap": torch.logit(gaussian["heatmap"]["target"].double(), 1e-6).float(),
            "locref": plateau["locref"]["target"],
            "paf": field["paf"]["target"],
        }
        predicted: dict[str, Any] = {
            "bodypart": head.predictor(stride, {n: v.clone() for n, v in maps.items()})
        }
        if identity is not None:
            steps = model.get_stride("identity")
            cells_of_names = int(SIZE / steps) + 1
            shape = {"heatmap": torch.zeros(1, 1, cells_of_names, cells_of_names)}
            maps["identity"] = 16 * (identity(steps, shape, labels)["heatmap"]["target"] - 0.5)
            predicted["identity"] = model.heads["identity"].predictor(steps, {"heatmap": maps["identity"]})
        after = build_bottom_up_postprocessor(animals, keypoints, 0, with_identity=identity is not None)
        arrays = {s: {n: np.asarray(v)[0] for n, v in p.items()} for s, p in predicted.items()}
        poses, _ = after([arrays], {"scales": (1, 1), "offsets": (0, 0)})
        found |= {f"ideal.{number}.raw.{name}": value.numpy() for name, value in maps.items()}
        found[f"ideal.{number}.poses"] = np.asarray(poses["bodyparts"])[..., :3]
    return found


def duplicates(model: PoseModel, keypoints: int, animals: int, seed: int) -> dict[str, np.ndarray]:
    """Outputs for DEKR in which all centres of a half of the image see one animal, each a little differently.

    Returns:
        ``ideal.N.raw.{heatmap,offset}`` and ``ideal.N.poses`` (A, K, 3), rows of -1 where there is no animal.
    """
    head, stride, cells = model.heads["bodypart"], model.get_stride("bodypart"), 64
    y, x = np.mgrid[:cells, :cells].astype(np.float32)
    found: dict[str, np.ndarray] = {}
    for number in range(SCENES):
        for attempt in range(200):
            rng = np.random.default_rng([seed, number, attempt])
            heights = rng.uniform(0.05, 0.5, (1, keypoints + 1, cells, cells)).astype(np.float32)
            # Centres, twice as many as animals.
            heights[0, -1].flat[rng.choice(cells**2, 2 * animals, replace=False)] = rng.uniform(
                0.6, 0.95, 2 * animals
            )
            offsets = np.empty((1, 2 * keypoints, cells, cells), np.float32)
            for axis, centre in enumerate((x, y)):
                poses = rng.uniform(8, cells - 8, (2, keypoints))[:, :, None, None]
                offsets[0, axis::2] = centre - np.where(x < cells / 2, *poses)
            offsets += rng.normal(0, 1, offsets.shape).astype(np.float32)
            maps = {"heatmap": torch.from_numpy(heights), "offset": torch.from_numpy(offsets)}
            if unambiguous({"bodypart": maps}, animals):
                break
        else:
            raise RuntimeError("no maps without near-ties in 200")
        poses = head.predictor(stride, {name: value.clone() for name, value in maps.items()})["poses"]
        found |= {f"ideal.{number}.raw.{name}": value.numpy() for name, value in maps.items()}
        found[f"ideal.{number}.poses"] = poses[0].numpy()
    return found


def _poses(number: int, keypoints: int, animals: int, seed: int, hidden: bool) -> np.ndarray:
    """(animals, K, 3) keypoints of 1 to ``animals`` animals, each in a quarter of the image of its own, then
    zeros; of the first a keypoint may be hidden."""
    rng = np.random.default_rng(seed)
    count = 1 + number % animals
    poses = np.zeros((animals, keypoints, 3), np.float32)
    for row, quarter in enumerate(rng.permutation(4)[:count]):
        corner = np.array([quarter % 2, quarter // 2]) * SIZE / 2
        poses[row, :, :2] = corner + rng.uniform(40, SIZE / 2 - 40, (keypoints, 2))
        poses[row, :, 2] = 2
    if hidden:
        poses[0, rng.integers(keypoints)] = 0
    return poses
