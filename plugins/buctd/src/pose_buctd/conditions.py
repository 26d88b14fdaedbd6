"""The extra input ``conditions``: one initial pose an image, drawn on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pose_buctd.config import ConditionsConfig, ErrorsConfig
from pose_buctd.rendering import (
    blurred_profiles,
    colour_table,
    coloured,
    gaussian_profiles,
    last_at_each_place,
    product,
)
from pose_buctd.sampling import Sampled, imperfect_poses
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, ExtraInput, KeypointAxis, Labels, Predictions
from pose_core.maps import animal_boxes

_LEAST_AREA = 1 / 16
"""Of the animal, as a fraction of the crop that was cut around it: the box of an animal that lies along an
axis, or of which one keypoint is labelled, says nothing about its size."""
_VALIDATION_SEED = 0


class Conditions(ExtraInput):
    """Poses as maps: (B, K, H, W), or (B, 3, H, W) with ``encoding: coloured``; float32.

    In training the pose is the animal's own with the errors of a bottom-up model
    (:mod:`pose_buctd.sampling`), by torch's random numbers; in evaluation mode the same errors come from a
    generator of its own with a fixed seed, so that two validations of the same weights agree.
    """

    exportable = True

    colours: Tensor
    mirror: Tensor
    sigmas: Tensor
    probabilities: Tensor

    def __init__(self, config: ConditionsConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.config = config
        names = context.skeleton.keypoints
        if config.encoding == "coloured":
            try:
                table = colour_table(config.colours, len(names))
            except ValueError as error:
                raise ConfigError(f"model.inputs.conditions.{error}") from None
            self.register_buffer("colours", table, persistent=False)
        self.register_buffer("mirror", torch.tensor(context.skeleton.mirror_indices), persistent=False)
        self.register_buffer("sigmas", torch.tensor(_sigmas(config.errors, names)), persistent=False)
        self.register_buffer("probabilities", torch.tensor(_kinds(config.errors)), persistent=False)

    def for_training(self, labels: Labels, image_size: tuple[int, int]) -> Tensor:
        """Conditions that err.

        Args:
            labels: the animal of the crop first, its neighbours after it, in pixels of the crop.
            image_size: (H, W).
        """
        return self.render(self.sample(labels, image_size).keypoints, image_size)

    def for_inference(self, found: Predictions, image_size: tuple[int, int]) -> Tensor:
        """What an earlier stage found.

        Args:
            found: one animal an image (more are ignored; none: empty maps), in pixels of the network's input.
            image_size: (H, W).
        """
        b, n, k, _ = found.keypoints.shape
        if not n:
            return self.render(found.keypoints.new_full((b, k, 2), torch.nan), image_size)
        # A file may keep a place with a keypoint that was not found; the score decides.
        absent = (found.keypoint_scores[:, 0] <= 0).unsqueeze(-1)
        return self.render(found.keypoints[:, 0].masked_fill(absent, torch.nan), image_size)

    def sample(self, labels: Labels, image_size: tuple[int, int]) -> Sampled:
        """Imperfect poses of the first animals; see :func:`pose_buctd.sampling.imperfect_poses`."""
        generator = None
        if not self.training:
            generator = torch.Generator(labels.keypoints.device).manual_seed(_VALIDATION_SEED)
        return imperfect_poses(
            labels.keypoints,
            _areas(labels, image_size),
            self.probabilities,
            self.config.errors.missing,
            self.sigmas,
            self.mirror,
            image_size,
            generator,
            shift=self.config.errors.shift,
            turn=self.config.errors.turn,
        )

    def render(self, keypoints: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Poses as maps.

        Args:
            keypoints: (B, K, 2) float32, pixels; NaN: missing, an empty map.
            image_size: (H, W).

        Returns:
            (B, K, H, W) or (B, 3, H, W) float32.
        """
        keypoints = keypoints.float()
        # One coordinate without the other is no position.
        keypoints = keypoints.masked_fill(~torch.isfinite(keypoints).all(-1, keepdim=True), torch.nan)
        draw = self._exact if self.config.rendering == "exact" else self._as_deeplabcut
        return draw(keypoints, *image_size)

    def _exact(self, keypoints: Tensor, height: int, width: int) -> Tensor:
        columns = gaussian_profiles(keypoints[..., 0], width, self.config.sigma)
        rows = gaussian_profiles(keypoints[..., 1], height, self.config.sigma) * self.config.peak
        return self._drawn(rows, columns)

    def _as_deeplabcut(self, keypoints: Tensor, height: int, width: int) -> Tensor:
        size = keypoints.new_tensor([width, height])
        outside = ((keypoints < 0) | (keypoints > size)).any(-1, keepdim=True)
        # What would be pixel -1 is the last one.
        pixels = torch.remainder(keypoints.masked_fill(outside, torch.nan).trunc() - 1, size)
        if self.config.encoding == "coloured":
            # DeepLabCut writes one colour a pixel, so the later keypoint replaces the earlier one.
            covered = ~last_at_each_place(pixels)
            pixels = pixels.masked_fill(covered.unsqueeze(-1), torch.nan)
        sigma, radius = self.config.sigma, self.config.radius
        columns = blurred_profiles(pixels[..., 0], width, sigma, radius)
        rows = blurred_profiles(pixels[..., 1], height, sigma, radius)
        if self.config.encoding == "stacked":
            # The maximum of a product of profiles is the product of their maxima; no map is needed for it.
            highest = (rows.amax(-1) * columns.amax(-1)).amax(1)[:, None, None]
            return self._drawn(rows * (self.config.peak / highest.where(highest > 0, 1.0)), columns)
        maps = self._drawn(rows, columns)
        highest = maps.amax((1, 2, 3), keepdim=True)
        return maps * (self.config.peak / highest.where(highest > 0, 1.0))

    def _drawn(self, rows: Tensor, columns: Tensor) -> Tensor:
        if self.config.encoding == "coloured":
            return coloured(rows, columns, self.colours)
        return product(rows, columns)


def channels(encoding: str, context: BuildContext) -> int:
    """Number of maps of the conditions."""
    return 3 if encoding == "coloured" else context.skeleton.num_keypoints


def check_channels(conditions: Tensor, expected: int) -> None:
    """Refuse conditions of another encoding than the network was made for.

    Raises:
        ConfigError: they have another number of maps.
    """
    if conditions.shape[1] != expected:
        raise ConfigError(
            f"the backbone was made for {expected} maps of conditions and gets {conditions.shape[1]}; "
            "model.backbone.encoding and model.inputs.conditions.encoding must be the same"
        )


def axes_of_convolution(
    name: str, encoding: str, names: Sequence[str], inwards: bool = False
) -> dict[str, tuple[KeypointAxis, ...]]:
    """The keypoint axes of a convolution or linear layer of conditions; ``inwards``: its outputs are
    keypoints too."""
    if encoding == "coloured":
        return {}
    into, out_of = KeypointAxis.of(1, names), KeypointAxis.of(0, names)
    if not inwards:
        return {f"{name}.weight": (into,)}
    return {f"{name}.weight": (out_of, into), f"{name}.bias": (out_of,)}


def _areas(labels: Labels, image_size: tuple[int, int]) -> Tensor:
    """(B,) square pixels, of the first animals: as labelled, else of their boxes, else of what their
    keypoints span."""
    boxes = animal_boxes(labels)[:, 0]
    of_box = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)
    area = labels.areas[:, 0]
    area = torch.where(torch.isfinite(area), area, of_box)
    whole = float(image_size[0] * image_size[1])
    return area.clamp(whole * _LEAST_AREA, whole)


def _sigmas(errors: ErrorsConfig, names: Sequence[str]) -> list[float]:
    if not isinstance(errors.sigma, dict):
        return [errors.sigma] * len(names)
    if unknown := sorted(set(errors.sigma) - set(names)):
        raise ConfigError(
            f"model.inputs.conditions.errors.sigma: the skeleton has no keypoint {unknown[0]!r}; it has "
            f"{', '.join(names)}"
        )
    if absent := [name for name in names if name not in errors.sigma]:
        raise ConfigError(
            f"model.inputs.conditions.errors.sigma: says nothing about {absent[0]!r}; name all keypoints"
        )
    return [errors.sigma[name] for name in names]


def _kinds(errors: ErrorsConfig) -> list[float]:
    """Probabilities in the order of :mod:`pose_buctd.sampling`."""
    others = [errors.jitter, errors.miss, errors.inversion, errors.swap]
    return [max(0.0, 1 - sum(others)), *others]
