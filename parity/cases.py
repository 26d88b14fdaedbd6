"""What is compared. Read by both Pythons: the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

KEYPOINTS = ("nose", "left_ear", "right_ear", "centre", "tail")
BACKBONES = (
    *("resnet_50", "resnet_101"),
    *("hrnet_w18", "hrnet_w32", "hrnet_w48"),
    *("cspnext_s", "cspnext_m", "cspnext_x"),
)
DETECTORS = ("ssdlite", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2")


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        name: of the row.
        net_type: DeepLabCut's name of the pose network.
        top_down: whether it sees crops.
        sizes: (height, width) of the images, in pixels.
        multiple: images are padded on the right and at the bottom to multiples of it, before either side sees them.
        detector: name of the detector, for rows that compare a detector instead of the pose network.
        exported: taken over from an exported ``.pt`` file, detector included, instead of a snapshot.
        unique: number of unique body parts.
    """

    name: str
    net_type: str
    top_down: bool
    sizes: tuple[tuple[int, int], ...]
    multiple: int = 1
    detector: str | None = None
    exported: bool = False
    unique: int = 0


def _cases() -> list[Case]:
    found = []
    for name in BACKBONES:
        multiple = 32 if name.startswith("hrnet") else 1
        found.append(Case(name, name, False, ((256, 256), (203, 317), (97, 141)), multiple))
    found += [Case(f"top_down_{name}", name, True, ((256, 256),)) for name in BACKBONES]
    found += [Case(f"rtmpose_{v}", f"rtmpose_{v}", True, ((384, 384) if v == "x" else (256, 256),)) for v in "smx"]
    found.append(Case("animaltokenpose_base", "animaltokenpose_base", True, ((256, 256),)))
    found.append(Case("resnet_50, unique body parts", "resnet_50", False, ((256, 256), (203, 317)), unique=2))
    found.append(Case("top_down_cspnext_s, exported", "cspnext_s", True, ((256, 256),), exported=True))
    found += [Case(name, "cspnext_s", True, ((320, 416), (301, 263)), detector=name) for name in DETECTORS]
    return found


CASES = {case.name: case for case in _cases()}
