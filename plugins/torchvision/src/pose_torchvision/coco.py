"""The classes of COCO as torchvision's weights number them, and where those weights are. No torch."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "https://download.pytorch.org/models/"

NUM_CLASSES = 91
"""Outputs of a COCO head: background, then the numbers 1 to 90 of COCO's categories, ten of which are not used."""

CLASSES: dict[str, int] = {
    name: number
    for names, first in (
        ("person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant", 1),
        ("stop sign|parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe", 13),
        ("backpack|umbrella", 27),
        ("handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard", 31),
        ("surfboard|tennis racket|bottle", 42),
        ("wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut", 46),
        ("cake|chair|couch|potted plant|bed", 61),
        ("dining table", 67),
        ("toilet", 70),
        ("tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink|refrigerator", 72),
        ("book|clock|vase|scissors|teddy bear|hair drier|toothbrush", 84),
    )
    for number, name in enumerate(names.split("|"), first)
}
"""Number of each class, which is its place among the outputs. (The ``mouse`` of COCO is that of a computer.)"""

ANIMALS: tuple[int, ...] = tuple(range(CLASSES["bird"], CLASSES["giraffe"] + 1))
"""Numbers of the ten classes of animals."""


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that torchvision publishes; its name ends with the first 8 digits of its sha256.

    Attributes:
        name: of the file.
        what: what messages call it.
    """

    name: str
    what: str

    @property
    def url(self) -> str:
        """Where it is downloaded from."""
        return HOST + self.name

    @property
    def sha256(self) -> str:
        """First digits."""
        return self.name.rpartition("-")[2].removesuffix(".pth")


MOBILENET = WeightFile("mobilenet_v3_large-8738ca79.pth", "the ImageNet weights of MobileNetV3-Large")
RESNET50 = WeightFile("resnet50-0676ba61.pth", "the ImageNet weights of ResNet-50")
COCO_WEIGHTS: dict[str, WeightFile] = {
    network: WeightFile(name, f"the COCO weights of {network}")
    for network, name in (
        ("ssdlite", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"),
        ("fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"),
    )
}
"""By the name of the detector."""
