"""Predict poses from folders that ``pose export`` made; numpy and ONNX Runtime or OpenVINO, no PyTorch.

::

    from pose_run import load

    model = load("exported")
    for found in model.predict_video("video.mp4"):
        print(found.index, found.keypoints)

Coordinates are pixels of the image, x to the right, y down, the centre of the top-left pixel at (0, 0). A missing
keypoint is NaN with score 0.
"""

from __future__ import annotations

from pose_run.detector import Detector, load_detector
from pose_run.errors import ExportError
from pose_run.model import Found, Model, load

__all__ = ["Detector", "ExportError", "Found", "Model", "load", "load_detector"]
