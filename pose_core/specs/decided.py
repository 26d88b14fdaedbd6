"""Values that may be ``auto`` in a file, after they were decided: what everything below the preparation
takes."""

from __future__ import annotations

from dataclasses import dataclass

from pose_core.errors import ConfigError


@dataclass(frozen=True)
class Preprocess:
    """Resizing of images with all values decided; see :class:`pose_core.specs.PreprocessSpec` for what is
    written.

    Attributes:
        view: what the network sees: the whole ``frame``, or a crop around one ``animal``.
        scale: factor by which frames are resized, where ``size`` is None.
        size: fixed (height, width) of the input in pixels; None: as large as the frame.
        margin: free space around a box on each side, as a fraction of its longer side.
        min_box: boxes are enlarged to be at least so long, pixels of the frame.
        margin_pixels: further free space around a box on each side, pixels of the frame.
        half_pixel: keypoints move with the centres of pixels where an image is resized.
        mean, std: of RGB in [0, 1]: subtracted, and divided by.
        extent: side of the square of frame pixels that a crop shows; None: as the box and its margin say.
        centre: of an animal: ``box``, ``keypoints`` or the name of a keypoint, see
            :func:`pose_core.data.boxes.find_centres`.
        label_offset, label_zoom: where the pixels of crops lay beside their labels, see
            :func:`pose_core.data.geometry.keypoint_matrix`.
    """

    view: str = "frame"
    scale: float = 1.0
    size: tuple[int, int] | None = None
    margin: float = 0.25
    min_box: float = 0.0
    margin_pixels: float = 0.0
    half_pixel: bool = True
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    extent: float | None = None
    centre: str = "box"
    label_offset: float = 0.0
    label_zoom: float = 1.0

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of crops.

        Raises:
            ValueError: the network looks at whole frames.
        """
        if self.view != "animal" or self.size is None:
            raise ValueError("a network that looks at whole frames has no crops")
        return self.size


def make_auto_error(key: str) -> ConfigError:
    """Make the error for a value that should be decided by now."""
    return ConfigError(
        f"{key}: is still 'auto', which is decided when training starts; train before using it"
    )
