"""An exact network of pictures with bright blobs, for tests of what surrounds a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext, Grid, Predictions, StageContext
from pose_core.pipeline.crops import Crops
from pose_core.pipeline.whole_frames import WholeFrames
from pose_core.specs import Preprocess
from pose_core.structures import ByteArray, Skeleton

SIGMA = 6.0


class BlobNetwork(nn.Module):
    """The exact analytic network of images with one bright Gaussian blob: its heatmap is the image itself, at
    stride 2, read by the predictor that heatmap heads use."""

    size_multiple = 2
    device = torch.device("cpu")

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.skeleton = skeleton
        component = get_catalog().component("predictor", "heatmap/subpixel")
        config = component.config_class()(type="heatmap/subpixel", sigmoid=False)
        self.predictor = component.factory()(config, BuildContext(skeleton), Grid.cells(2))
        self.batches: list[int] = []

    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        self.batches.append(len(images))
        heatmap = functional.avg_pool2d(images[:, :1].float() / 255, 2)
        found: Predictions = self.predictor(
            {"heatmap": heatmap}, Predictions.none(len(images), self.skeleton)
        )
        return found


def blob_image(points: Any, size: tuple[int, int] = (240, 320), peak: float = 250.0) -> ByteArray:
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros(size)
    for px, py in points:
        image = np.maximum(image, peak * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2)))
    return np.repeat(np.round(image).astype(np.uint8)[..., None], 3, axis=2)


def make_context(
    network: BlobNetwork, preprocess: Preprocess, at_once: int = 32, **more: Any
) -> StageContext:
    """What a stage sees of a network."""
    seen: Any = (
        {"crops": Crops(network, preprocess, at_once)}
        if preprocess.view == "animal"
        else {"frames": WholeFrames(network, preprocess)}
    )
    return StageContext(network.skeleton, network.device, "blob", network=network, **seen, **more)
