"""Published weights of RTMPose: where they are, and their names as those of the network. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

INERT = ("numpy.", "mmengine.")
"""OpenMMLab keeps the description of the data set in the file, in arrays."""

_PLACE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
_SOURCE = (
    "people in seven data sets (AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18), crops of "
    "{crop}, by OpenMMLab (Jiang et al. 2023)"
)
_SIDES = ("left", "right")
_COCO = (
    "nose",
    *(
        f"{side}_{part}"
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in _SIDES
    ),
)
_HALPE = (
    *_COCO,
    *("head", "neck", "hip"),
    *(f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in _SIDES),
)
_PARTS = {"head.": "heads.keypoints.", "backbone.": "backbone."}


@dataclass(frozen=True)
class PublishedFile:
    """A file of OpenMMLab.

    Attributes:
        size: s, m or x.
        skeleton: ``coco17`` or ``halpe26``.
        keypoints: of the skeleton, in the order of the outputs.
        url: its address.
        sha256: its first digits, which are part of the name.
        source: as :class:`pose_core.hooks.WeightSpec` says it.
    """

    size: str
    skeleton: str
    keypoints: tuple[str, ...]
    url: str
    sha256: str
    source: str


FILES = tuple(
    PublishedFile(
        size,
        skeleton,
        keypoints,
        f"{_PLACE}rtmpose-{size}_simcc-body7_pt-body7{trained}-{crop}-{digest}_{date}.pth",
        digest,
        _SOURCE.format(crop=crop),
    )
    for size, skeleton, keypoints, trained, crop, digest, date in (
        ("s", "coco17", _COCO, "_420e", "256x192", "acd4a1ef", "20230504"),
        ("m", "coco17", _COCO, "_420e", "256x192", "e48f03d0", "20230504"),
        ("x", "coco17", _COCO, "_700e", "384x288", "71d7b7e9", "20230629"),
        ("s", "halpe26", _HALPE, "-halpe26_700e", "256x192", "7f134165", "20230605"),
        ("m", "halpe26", _HALPE, "-halpe26_700e", "256x192", "4d3e73dd", "20230605"),
        ("x", "halpe26", _HALPE, "-halpe26_700e", "384x288", "7fb6e239", "20230606"),
    )
)


def from_openmmlab(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the weights of a network of OpenMMLab to those of RTMPose here.

    Args:
        tensors: by the names of OpenMMLab: ``backbone.stage1.0.bn.weight``, ``head.gau.uv.weight``; the batch norms
            of the backbone are called ``norm`` here.

    Returns:
        tensors by the names of the whole network, whose head is called ``keypoints``.
    """
    return {
        ours + name.removeprefix(theirs).replace(".bn.", ".norm."): tensor
        for name, tensor in tensors.items()
        for theirs, ours in _PARTS.items()
        if name.startswith(theirs)
    }
