"""An "original" for parity/speed.py that needs no deeplabcut: it makes a small model, and says that it takes a second a
frame."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
from deeplabcut_models import Model, description

for line in sys.stdin:
    asked = json.loads(line)
    if "make" in asked:
        answer = {"snapshot": str(Model(Path(asked["folder"]) / "train", description()).snapshot)}
    else:
        frames = int(cv2.VideoCapture(asked["video"]).get(cv2.CAP_PROP_FRAME_COUNT))
        answer = {"seconds": float(frames), "frames": frames}
    print("@@ " + json.dumps(answer), flush=True)
