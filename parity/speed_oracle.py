"""The original's side of ``speed.py``: makes models with random weights, and times videos.

Runs in an environment of its own that has deeplabcut, with DLClight=True (no windows). Reads lines of JSON from its
input: ``{"make": NAME, "folder": FOLDER}`` fills a folder with a project and a snapshot; ``{"time": NAME, "video":
VIDEO, "boxes": [x1, y1, x2, y2] or null, "batch": N, "device": "cpu"}`` predicts a video with the model of that name.
Each is answered with one line ``@@ {...}``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import deeplabcut.pose_estimation_pytorch as pep
import numpy as np
import torch
from cases import CASES
from deeplabcut.pose_estimation_pytorch.config import PoseConfig
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from oracle import make_project, save
from random_weights import randomise


def make(name: str, folder: Path) -> dict[str, Any]:
    """A project with a snapshot; how fast a network is depends on its weights no more than on its images."""
    case = CASES[name]
    train = folder / "dlc-models-pytorch" / "iteration-0" / "parityJan1-trainset95shuffle1" / "train"
    config = make_project(case, folder)
    train.mkdir(parents=True)
    description = PoseConfig.build(
        config,
        train / "pytorch_config.yaml",
        net_type=case.net_type,
        top_down=case.top_down,
        detector_type="ssdlite" if case.top_down else None,
        save=True,
    )
    torch.manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        model = PoseModel.build(description.model, pretrained_backbone=False).eval()
        randomise(model)
    return {"snapshot": str(save(train, "snapshot", model)), "config": str(train / "pytorch_config.yaml")}


def main() -> None:
    torch.set_num_threads(int(os.environ.get("PARITY_THREADS", "2")))
    made: dict[str, dict[str, Any]] = {}
    runners: dict[tuple[str, int], Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "make" in asked:
                answer = made[asked["make"]] = make(asked["make"], Path(asked["folder"]))
            else:
                name, batch, device = asked["time"], asked["batch"], asked["device"]
                if (name, batch) not in runners:
                    # Those of one network at a time: memory.
                    runners = {key: runner for key, runner in runners.items() if key[0] == name} | {
                        (name, batch): pep.get_pose_inference_runner(
                            made[name]["config"], made[name]["snapshot"], batch_size=batch, device=device
                        )
                    }
                video = pep.VideoIterator(asked["video"])
                if asked["boxes"] is not None:
                    x1, y1, x2, y2 = asked["boxes"]
                    box = {"bboxes": np.array([[x1, y1, x2 - x1, y2 - y1]])}
                    video.set_context([dict(box) for _ in range(video.get_n_frames())])
                began = time.perf_counter()
                found = pep.video_inference(video, runners[name, batch])
                answer = {"seconds": time.perf_counter() - began, "frames": len(found)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print("@@ " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
