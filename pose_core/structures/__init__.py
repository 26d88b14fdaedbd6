"""Skeletons, animals of a frame, labelled images: the values that all parts share.

Coordinates everywhere are pixels of the image named by the holder, x to the right, y down, the centre of the
top-left pixel at (0, 0). Boxes are ``x1, y1, x2, y2`` in the same coordinates. Arrays are float32; a missing
keypoint is NaN with score 0. Scores are in [0, 1].
"""

from __future__ import annotations

from pose_core.structures.frame_span import FrameSpan, list_frames
from pose_core.structures.instances import (
    ByteArray,
    FloatArray,
    Frame,
    Instances,
    IntArray,
    box_overlaps,
    enlarge_boxes,
    fill_boxes,
    keypoint_boxes,
    present_keypoints,
)
from pose_core.structures.labelled import (
    EmbeddedImage,
    ImageFile,
    ImageReference,
    LabelledDataset,
    LabelledImage,
    ProjectSplit,
    VideoFrame,
    VideoRange,
)
from pose_core.structures.region import Region
from pose_core.structures.skeleton import (
    Skeleton,
)

__all__ = [
    "ByteArray",
    "EmbeddedImage",
    "FloatArray",
    "Frame",
    "FrameSpan",
    "ImageFile",
    "ImageReference",
    "Instances",
    "IntArray",
    "LabelledDataset",
    "LabelledImage",
    "ProjectSplit",
    "Region",
    "Skeleton",
    "VideoFrame",
    "VideoRange",
    "box_overlaps",
    "enlarge_boxes",
    "fill_boxes",
    "keypoint_boxes",
    "list_frames",
    "present_keypoints",
]
