"""The original's side: makes a model of a case, with random weights, and writes down what it puts out.

Runs in an environment of its own that has deeplabcut, with DLClight=True (no windows). Reads lines
``CASE<tab>FOLDER`` from its input; for each it fills FOLDER with a project, a snapshot as a training would
leave it, and ``original.npz``, and answers with one line ``@@ {...}``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import deeplabcut
import numpy as np
import torch
import yaml
from cases import CASES, KEYPOINTS, Case
from conditions import draw_conditions
from deeplabcut.pose_estimation_pytorch.config import PoseConfig
from deeplabcut.pose_estimation_pytorch.data import build_transforms
from deeplabcut.pose_estimation_pytorch.data.postprocessor import (
    build_bottom_up_postprocessor,
    build_top_down_postprocessor,
)
from deeplabcut.pose_estimation_pytorch.data.preprocessor import (
    build_bottom_up_preprocessor,
    build_top_down_preprocessor,
)
from deeplabcut.pose_estimation_pytorch.models import DETECTORS, PoseModel
from deeplabcut.pose_estimation_pytorch.runners.snapshots import TorchSnapshotManager
from ideal import duplicates, fields
from images import draw
from random_weights import calibrate, randomise, scale_heads, spread_detections
from ties import unambiguous
from torch import nn
from zoo_oracle import describe, make_pose, name_file

_PROJECT = """
{Task: parity, scorer: Ada, date: Jan1, multianimalproject: false, identity: false, engine: pytorch, video_sets: {},
start: 0, stop: 1, numframes2pick: 20, skeleton: [[nose, centre], [centre, tail]], skeleton_color: black, pcutoff: 0.6,
dotsize: 12, alphavalue: 0.7, colormap: rainbow, TrainingFraction: [0.95], iteration: 0, default_net_type: resnet_50,
default_augmenter: default, snapshotindex: -1, detector_snapshotindex: -1, batch_size: 8, detector_batch_size: 1,
cropping: false, x1: 0, x2: 640, y1: 277, y2: 624, corner2move2: [50, 50], move2corner: true}
"""


def main() -> None:
    torch.set_num_threads(int(os.environ.get("PARITY_THREADS", "2")))
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split("\t")
        try:
            answer = work(CASES[name], Path(folder))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        gc.collect()
        print("@@ " + json.dumps(answer), flush=True)


def work_zoo(case: Case, folder: Path) -> dict[str, Any]:
    """A file as the zoo publishes it, alone in its folder."""
    folder.mkdir(parents=True)
    seed = zlib.crc32(case.name.encode())
    torch.manual_seed(seed)
    answer: dict[str, Any] = {"versions": f"DeepLabCut {deeplabcut.__version__} on torch {torch.__version__}"}
    with torch.no_grad():
        if case.detector is None:
            return answer | make_pose(case, folder, seed)
        file = folder / name_file(case)
        detector = make_detector(dict(describe(case).detector.model))
        torch.save({"model": detector.state_dict()}, file)
        return answer | {"file": str(file)} | run_detector(case, detector, seed, folder)


def work(case: Case, folder: Path) -> dict[str, Any]:
    if case.zoo is not None:
        return work_zoo(case, folder)
    config = make_project(case, folder)
    train = folder / "dlc-models-pytorch" / "iteration-0" / "parityJan1-trainset95shuffle1" / "train"
    train.mkdir(parents=True)
    description = PoseConfig.build(
        config,
        train / "pytorch_config.yaml",
        net_type=case.net_type,
        top_down=case.top_down,
        detector_type=case.detector or ("ssdlite" if case.top_down else None),
        # Any file that is there; the poses are given to the network directly.
        ctd_conditions=conditions_file(folder) if case.conditional else None,
        save=True,
    )
    if case.top_down or case.conditional:
        description = with_crops(description, train / "pytorch_config.yaml", case.sizes[0])
    seed = zlib.crc32(case.name.encode())
    torch.manual_seed(seed)
    answer: dict[str, Any] = {"versions": f"DeepLabCut {deeplabcut.__version__} on torch {torch.__version__}"}
    with torch.no_grad():
        pose = PoseModel.build(description.model, pretrained_backbone=False).eval()
        if case.detector is not None or case.exported:
            detector = make_detector(dict(description.detector.model))
            answer["detector"] = str(save(train, "snapshot-detector", detector))
        if case.detector is None:
            randomise(pose)
            sample = torch.cat([normalised(draw(*case.sizes[0], 10**6 + i, i % 2 == 0)) for i in range(4)])
            more: dict[str, Any] = {}
            if case.conditional:
                drawn = [draw_conditions(*case.sizes[0], len(KEYPOINTS), 10**6 + i) for i in range(4)]
                more["cond_kpts"] = torch.from_numpy(np.stack(drawn))[:, None]
            calibrate(pose, sample, **more)
            scale_heads(pose, pose(sample, **more))
        answer["snapshot"] = str(save(train, "snapshot", pose))
        if case.exported:
            answer["snapshot"] = str(export(folder, description, pose, detector))
            del answer["detector"]
        if case.detector is not None:
            answer |= run_detector(case, detector, seed, folder)
        else:
            answer |= run_pose(case, pose, description, seed, folder)
    return answer


def with_crops(description: PoseConfig, file: Path, size: tuple[int, int]) -> PoseConfig:
    """The configuration with crops of a size: 3.0.2 writes 256 x 256 for every network, also where the head
    of the same configuration takes 384 x 384 (rtmpose_x), and then fails on the first image."""
    content = yaml.safe_load(file.read_text())
    for part in ("train", "inference"):
        content["data"][part]["top_down_crop"] |= {"height": size[0], "width": size[1]}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    description.data.inference.top_down_crop |= {"height": size[0], "width": size[1]}
    return description


def make_project(case: Case, folder: Path) -> Path:
    """The config.yaml of a DeepLabCut project."""
    folder.mkdir(parents=True)
    content: dict[str, Any] = yaml.safe_load(_PROJECT) | {
        "project_path": str(folder),
        "bodyparts": list(KEYPOINTS),
    }
    unique = [f"corner{i}" for i in range(case.unique)]
    if case.animals > 1:
        content |= {
            "multianimalproject": True,
            "bodyparts": "MULTI!",
            "multianimalbodyparts": list(KEYPOINTS),
        }
        content |= {"individuals": [f"animal{i}" for i in range(case.animals)], "identity": case.identity}
        content["uniquebodyparts"] = unique
    elif unique:
        content["uniquebodyparts"] = unique
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def conditions_file(folder: Path) -> Path:
    """A file of predictions, which a description of a conditional network must name."""
    path = folder / "conditions.json"
    path.write_text("{}")
    return path


def make_detector(model: dict[str, Any]) -> nn.Module:
    """The detector with random weights. Its constructor would download a backbone's weights, which go
    unused."""
    from torchvision.models import _api

    original = _api.WeightsEnum.get_state_dict
    loading = nn.Module.load_state_dict
    try:
        _api.WeightsEnum.get_state_dict = lambda *a, **k: {}
        nn.Module.load_state_dict = lambda self, state, *a, **k: (
            loading(self, state, *a, **k) if state else None
        )
        detector = DETECTORS.build({**{k: v for k, v in model.items() if v is not None}, "pretrained": False})
        detector.eval()  # which returns nothing
    finally:
        _api.WeightsEnum.get_state_dict = original
        nn.Module.load_state_dict = loading
    randomise(detector)
    sample = torch.cat([normalised(draw(320, 416, 10**6 + i, i % 2 == 0)) for i in range(4)])
    calibrate(detector, sample)
    spread_detections(detector, sample)
    return detector


def save(folder: Path, prefix: str, model: nn.Module) -> Path:
    """As the original's training does."""
    manager = TorchSnapshotManager(
        snapshot_prefix=prefix, model_folder=folder, key_metric="test.mAP", save_epochs=25
    )
    metadata = {"epoch": 100, "metrics": {"metrics/test.mAP": 12.5}, "losses": {"train.total_loss": 0.5}}
    manager.update(100, {"metadata": metadata, "model": model.state_dict(), "optimizer": {"state": {}}})
    return next(folder.glob(f"{prefix}-best-*.pt"))


def export(folder: Path, description: PoseConfig, pose: nn.Module, detector: nn.Module) -> Path:
    """The contents of a file that ``deeplabcut.export_model`` makes."""
    path = folder / "DLC_parity_cspnext_s_iteration-0_shuffle-1_snapshot-100.pt"
    content = {"config": description.to_dict(normalize=True), "pose": pose.state_dict()}
    torch.save({**content, "detector": detector.state_dict()}, path)
    return path


def normalised(image: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    # The constants have the digits that a network keeps them with, so that float64 compares the rest.
    mean, std = (
        np.array(v, np.float32).astype(np.float64) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    return torch.from_numpy((image / 255 - mean) / std).to(dtype).permute(2, 0, 1)[None]


def run_pose(
    case: Case, model: PoseModel, description: PoseConfig, seed: int, folder: Path
) -> dict[str, Any]:
    inference = description.data.inference
    transform = build_transforms(inference)
    if case.top_down:
        crop = inference.top_down_crop
        before = build_top_down_preprocessor("RGB", transform, (crop["width"], crop["height"]))
        after = build_top_down_postprocessor(1, len(KEYPOINTS), 0)
    else:
        before = build_bottom_up_preprocessor("RGB", transform)
        after = build_bottom_up_postprocessor(case.animals, len(KEYPOINTS), case.unique)
    # What is assembled from fields, and which individuals these animals are, is compared on ideal fields.
    parts = dict(model.heads["bodypart"].named_children())
    assembled = "paf_head" in parts
    read = [slot for slot in model.heads if slot != "identity" and not (slot == "bodypart" and assembled)]
    found: dict[str, np.ndarray] = {}
    drawn = 0
    for number, (height, width) in enumerate(case.sizes):
        for structured in (False, True):
            at = f"{number}{'s' if structured else 'n'}"
            for attempt in range(60):
                drawn += 1
                image = padded(draw(height, width, seed + 1000 * number + attempt, structured), case.multiple)
                context: dict[str, Any] = {}
                more: dict[str, Any] = {}
                if case.top_down:
                    context["bboxes"] = np.array([[0, 0, image.shape[1], image.shape[0]]])
                if case.conditional:
                    pose = draw_conditions(
                        height, width, len(KEYPOINTS), seed + 100 * (2 * number + structured) + attempt
                    )
                    found[f"{at}.conditions"] = pose
                    tensor, more["cond_kpts"] = normalised(image), torch.from_numpy(pose)[None, None]
                else:
                    tensor, context = before(image, context)
                outputs = model(tensor, **more)
                if unambiguous({slot: outputs[slot] for slot in read}, case.animals):
                    break
            else:
                raise RuntimeError(f"no image of size {height} x {width} without near-ties in 60")
            # DEKR's predictor writes into what it reads.
            for slot, maps in outputs.items():
                found |= {f"{at}.raw.{slot}.{name}": value.clone().numpy() for name, value in maps.items()}
            found[f"{at}.image"] = image
            predicted = {s: model.heads[s].predictor(model.get_stride(s), outputs[s]) for s in read}
            poses = {s: np.asarray(p["poses"])[0] for s, p in predicted.items()}
            if not (case.conditional or assembled):
                whole, _ = after([{s: {"poses": v} for s, v in poses.items()}], context)
                poses = {slot: np.asarray(whole[_REPORTED[slot]]) for slot in poses}
            found |= {f"{at}.poses.{slot}": value for slot, value in poses.items()}
    if assembled:
        found |= fields(model, len(KEYPOINTS), case.animals, seed)
    elif "offset_head" in parts:
        found |= duplicates(model, len(KEYPOINTS), case.animals, seed)
    np.savez(folder / "original.npz", **found)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "images": len(case.sizes) * 2,
        "drawn": drawn,
    }


_REPORTED = {"bodypart": "bodyparts", "unique_bodypart": "unique_bodyparts"}


def padded(image: np.ndarray, multiple: int) -> np.ndarray:
    height, width = (-(-n // multiple) * multiple for n in image.shape[:2])
    result = np.zeros((height, width, 3), np.uint8)
    result[: image.shape[0], : image.shape[1]] = image
    return result


def run_detector(case: Case, detector: nn.Module, seed: int, folder: Path) -> dict[str, Any]:
    """Boxes, computed in double precision: which of many overlapping boxes are kept is decided by
    comparisons, and a random network enlarges rounding errors until some come out the other way."""
    # The batch norms of one are frozen, and their weights no parameters; so statistics count too.
    count = sum(v.numel() for k, v in detector.state_dict().items() if not k.endswith("num_batches_tracked"))
    detector.double()
    found: dict[str, np.ndarray] = {}
    for number, (height, width) in enumerate(case.sizes):
        for structured in (False, True):
            at = f"{number}{'s' if structured else 'n'}"
            image = draw(height, width, seed + 1000 * number, structured)
            _, (boxes,) = detector(normalised(image, torch.float64))
            found |= {
                f"{at}.image": image,
                f"{at}.boxes": boxes["boxes"].numpy(),
                f"{at}.scores": boxes["scores"].numpy(),
            }
    np.savez(folder / "original.npz", **found)
    return {"parameters": count, "images": len(case.sizes) * 2, "drawn": len(case.sizes) * 2}


if __name__ == "__main__":
    main()
