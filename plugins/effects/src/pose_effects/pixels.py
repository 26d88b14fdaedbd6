"""Changes of brightness and colour; images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np

from pose_core.interfaces import PixelTransform, TransformContext
from pose_core.structures import ByteArray
from pose_effects.config import (
    ClaheConfig,
    EqualizeConfig,
    GammaConfig,
    GrayConfig,
    HueSaturationConfig,
    JpegConfig,
)


class Equalize(PixelTransform):
    """Spread the values of pixels evenly from black to white."""

    def __init__(self, config: EqualizeConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._by_channel = config.by_channel

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Nothing is drawn."""
        if self._by_channel:
            return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)])  # type: ignore[return-value]
        apart = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        apart[..., 0] = cv2.equalizeHist(apart[..., 0])
        return cv2.cvtColor(apart, cv2.COLOR_YCrCb2RGB)  # type: ignore[return-value]


class Clahe(PixelTransform):
    """Equalise parts of the image, up to a limit of contrast (Zuiderveld 1994)."""

    def __init__(self, config: ClaheConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._clip, self._tiles = config.clip, (config.tiles, config.tiles)

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Draw the limit; colours stay."""
        apart = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        apart[..., 0] = cv2.createCLAHE(rng.uniform(*self._clip), self._tiles).apply(apart[..., 0])
        return cv2.cvtColor(apart, cv2.COLOR_YCrCb2RGB)  # type: ignore[return-value]


class Gray(PixelTransform):
    """Mix the image with its gray version."""

    def __init__(self, config: GrayConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._strength = config.strength

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Draw the share of gray."""
        share = float(rng.uniform(*self._strength))
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(gray, share, image, 1 - share, 0)  # type: ignore[return-value]


class HueSaturation(PixelTransform):
    """Turn the hue, and make colours stronger or weaker."""

    def __init__(self, config: HueSaturationConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._hue, self._saturation = config.hue, config.saturation

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Draw turn and factor."""
        turn = rng.uniform(-1, 1) * self._hue
        factor = 1 + rng.uniform(-1, 1) * self._saturation
        hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
        # OpenCV's hue of a byte has steps of two degrees, and 180 of them.
        turned = ((np.arange(256) + round(turn / 2)) % 180).astype(np.uint8)
        stronger = np.rint(np.arange(256) * factor).clip(0, 255).astype(np.uint8)
        changed = cv2.merge([cv2.LUT(hue, turned), cv2.LUT(saturation, stronger), value])
        return cv2.cvtColor(changed, cv2.COLOR_HSV2RGB)  # type: ignore[return-value]


class Gamma(PixelTransform):
    """Raise values, as fractions of white, to a power."""

    def __init__(self, config: GammaConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._range = np.log(config.gamma)

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Draw the exponent, as often below as above the middle of its logarithms."""
        exponent = np.exp(rng.uniform(*self._range))
        return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8))  # type: ignore[return-value]


class Jpeg(PixelTransform):
    """Write the image as JPEG and read it again."""

    def __init__(self, config: JpegConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._quality = config.quality

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Draw the quality."""
        quality = int(rng.integers(self._quality[0], self._quality[1] + 1))
        # OpenCV writes blue, green, red; colours are coarser than brightness in a JPEG.
        _, written = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        read = cv2.imdecode(written, cv2.IMREAD_COLOR)
        return cv2.cvtColor(read, cv2.COLOR_BGR2RGB)  # type: ignore[return-value, arg-type]
