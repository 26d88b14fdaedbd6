"""An "original" for parity/run.py that needs no deeplabcut: our own network is asked in its place.

Speaks the protocol of parity/oracle.py (lines ``CASE<tab>FOLDER`` in, ``@@ {...}`` out). The snapshot is one
that DeepLabCut could have left (tests/helpers/deeplabcut_models.py); what it puts out is what our import of
it puts out, so comparing must find no difference. Of the cases that are arguments one keypoint is half a
pixel off, and comparing must find it. Needs ``PYTHONPATH=parity``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zoo_files
from cases import CASES, Case
from compare import predict_in_box, take_over, take_published
from deeplabcut_models import Model, description
from images import draw
from ties import unambiguous


def make(case: Case, folder: Path, wrong: bool) -> dict[str, Any]:
    """Fill the folder as the oracle does, with a ResNet-18 of two keypoints."""
    snapshot = Model(folder / "train", description()).snapshot
    made = {"snapshot": str(snapshot), "versions": "our own network"}
    model = take_over(made, folder / "asked").load_model()
    head = model.heads["keypoints"]
    found: dict[str, Any] = {}
    drawn = 0
    with torch.inference_mode():
        for structured in (False, True):
            for attempt in range(60):
                drawn += 1
                image = draw(96, 128, attempt, structured)
                outputs = model(model.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))
                if unambiguous({"bodypart": {"heatmap": outputs["keypoints"]["heatmap"]}}, case.animals):
                    break
            else:
                raise RuntimeError("no image without near-ties in 60")
            at = "0s" if structured else "0n"
            maps = outputs["keypoints"]
            raw = {"heatmap": maps["heatmap"], "locref": maps["locref"] / head.locref_std}
            found |= {f"{at}.raw.bodypart.{name}": value.numpy() for name, value in raw.items()}
            animals = model.decode(outputs)
            poses = torch.cat([animals.keypoints[0], animals.keypoint_scores[0][..., None]], dim=-1).numpy()
            poses[0, 0, 0] += 0.5 * wrong
            found |= {f"{at}.image": image, f"{at}.poses.bodypart": poses}
    np.savez(folder / "original.npz", **found)
    parameters = sum(p.numel() for p in model.parameters())
    return made | {"parameters": parameters, "images": 2, "drawn": drawn}


def make_published(case: Case, folder: Path, wrong: bool) -> dict[str, Any]:
    """A file as the zoo publishes it, and poses in a box of a frame."""
    file = zoo_files.write_file(folder / "hub", str(case.zoo), case.net_type)
    run = take_published(case, file, folder / "asked")
    model = run.load_model()
    (height, width), found = case.sizes[0], {}
    with torch.inference_mode():
        for number, at in enumerate(("0n", "0s")):
            frame = draw(height + 20, width + 30, number, bool(number))
            image, box = (
                frame[8 : 8 + height, 12 : 12 + width],
                np.array([12, 8, 12 + width, 8 + height]) - 0.5,
            )
            maps = model(model.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))["keypoints"]
            found |= {f"{at}.raw.bodypart.{name}": value.numpy() for name, value in maps.items()}
            animals = predict_in_box(run, model, frame, box)
            poses = torch.cat([animals.keypoints[0], animals.keypoint_scores[0][..., None]], dim=-1).numpy()
            poses[0, 0, 0] += 0.5 * wrong
            found |= {f"{at}.image": image, f"{at}.frame": frame, f"{at}.box": box}
            found |= {f"{at}.poses.bodypart": poses, f"{at}.clear": np.ones(poses.shape[1], bool)}
    np.savez(folder / "original.npz", **found)
    parameters = sum(p.numel() for p in model.parameters())
    return {"file": str(file), "versions": "our own", "parameters": parameters, "images": 2, "drawn": 2}


if __name__ == "__main__":
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split("\t")
        answer = make if CASES[name].zoo is None else make_published
        print("@@ " + json.dumps(answer(CASES[name], Path(folder), name in sys.argv)), flush=True)
