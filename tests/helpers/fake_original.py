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
from cases import CASES, Case
from compare import take_over
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


if __name__ == "__main__":
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split("\t")
        print("@@ " + json.dumps(make(CASES[name], Path(folder), name in sys.argv)), flush=True)
