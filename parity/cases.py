"""What is compared. Read by both Pythons: the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

KEYPOINTS = ("nose", "left_ear", "right_ear", "centre", "tail")
BACKBONES = (
    *("resnet_50", "resnet_101"),
    *("hrnet_w18", "hrnet_w32", "hrnet_w48"),
    *("cspnext_s", "cspnext_m", "cspnext_x"),
)
ZOO = {
    "superanimal_topviewmouse": (
        ("hrnet_w32", "resnet_50"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2"),
    ),
    "superanimal_quadruped": (
        ("hrnet_w32", "resnet_50", "rtmpose_s"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2", "ssdlite"),
    ),
    "superanimal_bird": (("resnet_50",), ("fasterrcnn_mobilenet_v3_large_fpn", "ssdlite")),
    # Its detectors are torchvision's own, unchanged.
    "superanimal_humanbody": (("rtmpose_x",), ()),
}
"""Pose networks and detectors of each project of the zoo."""
ZOO_ANIMALS = 10
"""Animals a frame of the zoo's models."""
DETECTORS = ("ssdlite", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2")
SEVERAL = 3
"""Animals of a project of several."""

_FRAME, _ODD, _SMALL = (256, 256), (203, 317), (97, 141)
_CONDITIONAL = {
    "ctd_coam_w32": (256, 256),
    "ctd_coam_w48": (256, 256),
    "ctd_coam_w48_human": (384, 288),
    "ctd_prenet_hrnet_w32": (256, 256),
    "ctd_prenet_hrnet_w48": (256, 256),
    "ctd_prenet_rtmpose_s": (256, 256),
    "ctd_prenet_rtmpose_m": (256, 256),
    "ctd_prenet_rtmpose_x": (384, 384),
    "ctd_prenet_rtmpose_x_human": (384, 288),
}


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        name: of the row.
        net_type: DeepLabCut's name of the pose network.
        top_down: whether it sees crops.
        sizes: (height, width) of the images, in pixels.
        multiple: images are padded on the right and at the bottom to multiples of it, before either side sees
            them.
        detector: name of the detector, for rows that compare a detector instead of the pose network.
        exported: taken over from an exported ``.pt`` file, detector included, instead of a snapshot.
        unique: number of unique body parts.
        animals: individuals of the project.
        identity: whether there is a head that tells them apart.
        zoo: the project of the zoo whose configuration the network has; None: it is of a project of one's own.
    """

    name: str
    net_type: str
    top_down: bool
    sizes: tuple[tuple[int, int], ...]
    multiple: int = 1
    detector: str | None = None
    exported: bool = False
    unique: int = 0
    animals: int = 1
    identity: bool = False
    zoo: str | None = None

    @property
    def conditional(self) -> bool:
        """Whether the network sees a crop and a pose to correct."""
        return self.net_type.startswith("ctd_")


def _cases() -> list[Case]:
    found = []
    for name in BACKBONES:
        found.append(Case(name, name, False, (_FRAME, _ODD, _SMALL), _multiple(name)))
    found += [Case(f"top_down_{name}", name, True, (_FRAME,)) for name in BACKBONES]
    found += [
        Case(f"rtmpose_{v}", f"rtmpose_{v}", True, ((384, 384) if v == "x" else _FRAME,)) for v in "smx"
    ]
    found.append(Case("animaltokenpose_base", "animaltokenpose_base", True, (_FRAME,)))
    found += _several_animals()
    found += [Case(name, name, False, (size,)) for name, size in _CONDITIONAL.items()]
    found.append(Case("resnet_50, unique body parts", "resnet_50", False, (_FRAME, _ODD), unique=2))
    found.append(Case("top_down_cspnext_s, exported", "cspnext_s", True, (_FRAME,), exported=True))
    found += [Case(name, "cspnext_s", True, ((320, 416), (301, 263)), detector=name) for name in DETECTORS]
    return found + _of_zoo()


def _of_zoo() -> list[Case]:
    found = []
    for project, (poses, detectors) in ZOO.items():
        for name in poses:
            size = (384, 288) if name == "rtmpose_x" else _FRAME
            found.append(Case(f"{project}/{name}", name, True, (size,), zoo=project))
        for name in detectors:
            row, sizes = f"{project}/{name}", ((320, 416), (301, 263))
            found.append(Case(row, poses[0], True, sizes, detector=name, zoo=project))
    return found


def _several_animals() -> list[Case]:
    small = (
        "resnet_50",
        "hrnet_w18",
        "cspnext_s",
        "dlcrnet_stride16_ms5",
        "dlcrnet_stride32_ms5",
        "dekr_w18",
    )
    found = []
    for name in (
        *BACKBONES,
        "dlcrnet_stride16_ms5",
        "dlcrnet_stride32_ms5",
        "dekr_w18",
        "dekr_w32",
        "dekr_w48",
    ):
        # A backbone's bare name means another network than in a project of one animal.
        row = f"{name}, several animals" if name in BACKBONES else name
        sizes = (_FRAME, _ODD) if name in small else (_FRAME,)
        found.append(Case(row, name, False, sizes, _multiple(name), animals=SEVERAL))
    name = "resnet_50, several animals, identity and unique body parts"
    found.append(Case(name, "resnet_50", False, (_FRAME,), unique=2, animals=SEVERAL, identity=True))
    return found


def _multiple(name: str) -> int:
    return 32 if name.startswith(("hrnet", "dekr")) else 1


CASES = {case.name: case for case in _cases()}
