"""COCO's classes as torchvision numbers them, and its published weights. No torch."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "https://download.pytorch.org/models/"

NUM_CLASSES = 91
"""Outputs of a COCO head: background, then the numbers 1 to 90 of COCO's categories, ten of which are not
used."""

# Where a group ends, COCO's numbers skip the categories that were planned and never annotated.
CLASSES: dict[str, int] = {
    name: number
    for names, first in (
        ("person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant", 1),
        ("stop sign|parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe", 13),
        ("backpack|umbrella", 27),
        ("handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove", 31),
        ("skateboard", 41),
        ("surfboard|tennis racket|bottle", 42),
        ("wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot", 46),
        ("hot dog|pizza|donut", 58),
        ("cake|chair|couch|potted plant|bed", 61),
        ("dining table", 67),
        ("toilet", 70),
        ("tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink|refrigerator", 72),
        ("book|clock|vase|scissors|teddy bear|hair drier|toothbrush", 84),
    )
    for number, name in enumerate(names.split("|"), first)
}
"""Number of each class, which is its row among the outputs. (The ``mouse`` of COCO is that of a computer.)"""

ANIMALS: tuple[int, ...] = tuple(range(CLASSES["bird"], CLASSES["giraffe"] + 1))
"""Numbers of the ten classes of animals."""


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that torchvision publishes.

    Attributes:
        name: of the file; it ends with the first 8 digits of the file's sha256.
        what: its name in messages.
    """

    name: str
    what: str

    @property
    def url(self) -> str:
        """The address of the file."""
        return HOST + self.name

    @property
    def sha256(self) -> str:
        """The first 8 digits of the checksum."""
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
"""Weights trained on COCO, by the name of the detector."""
