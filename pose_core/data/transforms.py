"""The transforms of the core: changes of pixel values, and coverings."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from pose_core.data.photometric import add_noise, adjust, erase, motion_kernel
from pose_core.data.transform_configs import (
    BrightnessContrastConfig,
    EraseConfig,
    MotionBlurConfig,
    NoiseConfig,
)
from pose_core.interfaces import LabelledView, LabelTransform, PixelTransform, TransformContext, cover_labels
from pose_core.structures import ByteArray


class BrightnessContrast(PixelTransform):
    """Contrast about mid-gray, then brightness."""

    def __init__(self, config: BrightnessContrastConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._brightness, self._contrast = config.brightness, config.contrast

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """See :func:`pose_core.data.photometric.adjust`."""
        brightness = rng.uniform(-1, 1) * self._brightness
        return adjust(image, brightness, 1 + rng.uniform(-1, 1) * self._contrast)


class MotionBlur(PixelTransform):
    """Blur along a straight line, as of a moving camera; see :func:`pose_core.data.photometric.motion_kernel`."""

    def __init__(self, config: MotionBlurConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._length = config.length

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Blur, the edges as if the image went on mirrored."""
        kernel = motion_kernel(rng.uniform(2, self._length), rng.uniform(0, math.pi))
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]


class Noise(PixelTransform):
    """Gaussian noise of brightness; see :func:`pose_core.data.photometric.add_noise`."""

    def __init__(self, config: NoiseConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._strength = config.strength

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Add noise of a strength that is drawn."""
        return add_noise(image, rng.uniform(0, self._strength), rng)


class Erase(LabelTransform):
    """Cover parts of the image with gray rectangles; see :func:`pose_core.data.photometric.erase`."""

    def __init__(self, config: EraseConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._config = config

    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Cover, and say of keypoints behind a rectangle what the settings say."""
        hidden = np.zeros(view.image.shape[:2], bool)
        for _ in range(int(rng.integers(1, self._config.most + 1))):
            hidden[erase(view.image, self._config.size, rng)] = True
        return replace(view, labels=cover_labels(view.labels, hidden, self._config.covered))
