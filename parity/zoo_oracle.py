"""The original's side: models of its zoo, with random weights in place of those that cannot be downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import ZOO_ANIMALS, Case
from deeplabcut.pose_estimation_pytorch.apis.utils import (
    get_inference_runners,
)
from deeplabcut.pose_estimation_pytorch.config import PoseConfig
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from deeplabcut.pose_estimation_pytorch.modelzoo.utils import MODEL_FILENAME_MAPPING
from images import draw
from random_weights import calibrate, randomise, scale_heads
from ties import clear_keypoints

CORNER = (40, 24)
"""Where the box of the animal begins in a frame, (x, y) in pixels."""
ROOM = (96, 64)
"""By how much a frame is larger than the box, (x, y) in pixels."""
CLEAR, PART = 1e-4, 0.9
"""How much higher than all others the highest cell must be, about ten times what outputs differ by; and for how many
of the keypoints: of 39 in an image some have near-ties, which are left out."""


def describe(case: Case) -> PoseConfig:
    """The configuration with which the original predicts, zero-shot."""
    assert case.zoo is not None
    # The network for people is given torchvision's detectors, of which its configuration says nothing.
    detector = (
        None if case.zoo == "superanimal_humanbody" else case.detector or "fasterrcnn_mobilenet_v3_large_fpn"
    )
    return PoseConfig.build_for_superanimal_inference(
        case.zoo, model_name=case.net_type, detector_name=detector, max_individuals=ZOO_ANIMALS, device="cpu"
    )


def name_file(case: Case) -> str:
    """The name of the file that is published."""
    name = f"{case.zoo}_{case.detector or case.net_type}"
    return MODEL_FILENAME_MAPPING.get(name, f"{name}.pt")


def make_pose(case: Case, folder: Path, seed: int) -> dict[str, Any]:
    """The file of a pose network, and what the original predicts with it in boxes inside of frames."""
    description = describe(case)
    height, width = case.sizes[0]
    pose = PoseModel.build(description.model, pretrained_backbone=False).eval()
    randomise(pose)
    sample = torch.cat([_normalised(draw(height, width, 10**6 + i, i % 2 == 0)) for i in range(4)])
    calibrate(pose, sample)
    scale_heads(pose, pose(sample))
    file = folder / name_file(case)
    # As published: weights, and nothing that says what they are of.
    torch.save({"model": pose.state_dict()}, file)
    keypoints = len(description.metadata.bodyparts)
    runner, _ = get_inference_runners(
        description,
        snapshot_path=file,
        max_individuals=ZOO_ANIMALS,
        num_bodyparts=keypoints,
        num_unique_bodyparts=0,
        device="cpu",
    )
    found: dict[str, np.ndarray] = {}
    drawn, (left, top) = 0, CORNER
    for structured in (False, True):
        at = f"0{'s' if structured else 'n'}"
        for attempt in range(60):
            drawn += 1
            frame = draw(height + ROOM[1], width + ROOM[0], seed + attempt, structured)
            crop = frame[top : top + height, left : left + width]
            outputs = pose(_normalised(crop))
            clear = clear_keypoints(outputs["bodypart"], CLEAR).numpy()
            if clear.mean() >= PART:
                break
        else:
            raise RuntimeError(f"no image of size {height} x {width} without near-ties in 60")
        found |= {f"{at}.raw.bodypart.{name}": value.numpy() for name, value in outputs["bodypart"].items()}
        found |= {f"{at}.image": crop, f"{at}.frame": frame}
        # x, y, width, height; the other side has corners, of which a pixel reaches half a pixel from its centre.
        found[f"{at}.box"] = np.array([left, top, left + width, top + height]) - 0.5
        (predicted,) = runner.inference([(frame, {"bboxes": np.array([[left, top, width, height]])})])
        poses = np.array(predicted["bodyparts"], np.float64)
        poses[:, ~clear] = np.nan
        found |= {f"{at}.poses.bodypart": poses, f"{at}.clear": clear}
    np.savez(folder / "original.npz", **found)
    parameters = sum(p.numel() for p in pose.parameters())
    return {"file": str(file), "parameters": parameters, "images": 2, "drawn": drawn}


def _normalised(image: np.ndarray) -> torch.Tensor:
    mean, std = (
        np.array(v, np.float32).astype(np.float64) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    return torch.from_numpy((image / 255 - mean) / std).float().permute(2, 0, 1)[None]
