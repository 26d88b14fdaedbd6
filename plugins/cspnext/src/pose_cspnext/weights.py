"""Published weights of CSPNeXt: where they are, and their names as those of the backbone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

INERT = ("numpy.", "mmengine.")
"""OpenMMLab keeps the description of the data set in the file, in arrays."""

_POSES = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
_CLASSES = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/"
_BODY7 = (
    "keypoints of people in seven data sets (AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18), "
    "by OpenMMLab (Jiang et al. 2023)"
)
_IMAGENET = "ImageNet-1k classification, by OpenMMLab (Lyu et al. 2022)"


@dataclass(frozen=True)
class PublishedFile:
    """A file of OpenMMLab.

    Attributes:
        size: s, m or x.
        images: what it was trained on, in a word.
        url: its address.
        sha256: its first digits, which are part of the name.
        source: as :class:`pose_core.hooks.WeightSpec` says it.
    """

    size: str
    images: str
    url: str
    sha256: str
    source: str


FILES = (
    *(
        PublishedFile(
            size, "body7", f"{_POSES}cspnext-{size}_udp-body7_210e-{crop}-{digest}_{date}.pth", digest, _BODY7
        )
        for size, crop, digest, date in (
            ("s", "256x192", "8c9ccbdb", "20230504"),
            ("m", "256x192", "e0c9327b", "20230504"),
            ("x", "384x288", "d28b58e6", "20230529"),
        )
    ),
    *(
        PublishedFile(size, "imagenet", f"{_CLASSES}cspnext-{size}_{how}-{digest}.pth", digest, _IMAGENET)
        for size, how, digest in (
            ("s", "imagenet_600e", "ea671761"),
            ("m", "8xb256-rsb-a1-600e_in1k", "ecb3bbd9"),
            ("x", "8xb256-rsb-a1-600e_in1k", "b3f78edd"),
        )
    ),
)


def from_openmmlab(tensors: Mapping[str, T]) -> dict[str, T]:
    """Take the backbone of a network of OpenMMLab, and leave out its head.

    Args:
        tensors: by the names of OpenMMLab: ``backbone.stage1.0.bn.weight``; the batch norms are called ``norm`` here.

    Returns:
        tensors by the names in ``CSPNeXt.state_dict()``.
    """
    beginning = "backbone."
    return {
        name.removeprefix(beginning).replace(".bn.", ".norm."): tensor
        for name, tensor in tensors.items()
        if name.startswith(beginning)
    }
