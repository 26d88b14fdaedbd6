"""The original's side of ``codecs.py``: makes targets of labels, and poses of outputs, and says how long that took.

Runs in an environment of its own that has deeplabcut, with DLClight=True (no windows); its argument is the number of
threads. Reads lines of JSON from its input: ``{"targets": "gaussian" | "dekr" | "paf", "file": FILE, "calls": N,
"stride": S}``, or ``"decoding"`` in the place of ``"targets"``; of part affinity fields also ``"graph"``. Each is
answered with one line ``@@ {"milliseconds": [...]}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from deeplabcut.pose_estimation_pytorch.models import predictors
from deeplabcut.pose_estimation_pytorch.models.target_generators import (
    DEKRGenerator,
    HeatmapGaussianGenerator,
    PartAffinityFieldGenerator,
)

RADIUS, LIMB = 17, 20
"""Pixels: of the original's defaults."""
CELLS = 112


def make_work(asked: Mapping[str, Any]) -> Callable[[], object]:
    """One call of a target generator or a predictor."""
    arrays = dict(np.load(asked["file"]))
    stride = float(asked["stride"])
    if "targets" in asked:
        keypoints = with_visibility(arrays["keypoints"])
        batch, animals, number, _ = keypoints.shape
        labels = {"keypoints": torch.from_numpy(keypoints)}
        if asked["targets"] == "gaussian":
            generator = HeatmapGaussianGenerator(
                number, RADIUS, heatmap_mode="KEYPOINT", generate_locref=True
            )
        elif asked["targets"] == "dekr":
            generator = DEKRGenerator(number, RADIUS)
            labels = {
                "keypoints": torch.from_numpy(with_centre(keypoints)),
                "area": torch.full((batch, animals), 8100.0),
            }
        else:
            generator = PartAffinityFieldGenerator(asked["graph"], width=LIMB)
        empty = torch.zeros(batch, number, CELLS, CELLS)
        two = torch.cat((empty, empty), dim=1)
        limbs = torch.zeros(batch, 2 * len(asked.get("graph", ())), CELLS, CELLS)
        outputs = {"heatmap": empty, "locref": two, "offset": two, "paf": limbs}
        return lambda: generator(stride, outputs, labels)
    outputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    number = outputs["heatmap"].shape[1]
    if asked["decoding"] == "dekr":
        predictor = predictors.DEKRPredictor(num_animals=10, use_heatmap=False, apply_pose_nms=True)
    else:
        graph = [tuple(limb) for limb in asked["graph"]]
        predictor = predictors.PartAffinityFieldPredictor(
            num_animals=10,
            num_multibodyparts=number,
            num_uniquebodyparts=0,
            graph=graph,
            edges_to_keep=list(range(len(graph))),
            locref_stdev=7.2801,
            nms_radius=5,
            sigma=1.0,
            min_affinity=0.05,
        )
    return lambda: predictor(stride, outputs)


def with_visibility(keypoints: np.ndarray) -> np.ndarray:
    """(B, A, K, 3): a keypoint without a label is 0, 0, 0."""
    seen = np.isfinite(keypoints).all(-1, keepdims=True)
    return np.concatenate((np.where(seen, keypoints, 0), 2.0 * seen), axis=-1).astype(np.float32)


def with_centre(keypoints: np.ndarray) -> np.ndarray:
    """The mean of an animal's keypoints as a last one."""
    seen = keypoints[..., 2:] > 0
    centre = (keypoints[..., :2] * seen).sum(2, keepdims=True) / np.maximum(seen.sum(2, keepdims=True), 1)
    return np.concatenate((keypoints, np.concatenate((centre, np.full_like(centre[..., :1], 2)), -1)), axis=2)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            with torch.no_grad():
                work = make_work(asked)
                work()
                milliseconds = []
                for _ in range(asked["calls"]):
                    began = time.perf_counter()
                    work()
                    milliseconds.append(1e3 * (time.perf_counter() - began))
            answer: dict[str, Any] = {"milliseconds": milliseconds}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print("@@ " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
