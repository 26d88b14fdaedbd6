"""Random changes of training images in DeepLabCut's pytorch_config.yaml as those here.

What DeepLabCut 3.0.2 fixes in code is written out: equalisation, blur, coverings, elastic, gray and noise each
happen to half of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.model_config import Section

_CHANCE = 0.5
_BLUR_LENGTH = 7
_BITS = 255
_NOISE = 0.05
_LARGEST_SHIFT = 0.4
# Up to ten rectangles, each side from a hundredth of the image to a twentieth.
_COVERING = {"size": 0.05, "most": 10}
# Displacements are uniform in [-1, 1], smoothed by a Gaussian of 5 pixels and multiplied by 20: of the standard
# deviation 20 / sqrt(3) / (2 * 5 * sqrt(pi)).
_ELASTIC = {"shift": 0.65, "smoothness": 5.0}
_GRAY = [0.5, 1.0]
_OFF = ("brightness_contrast", "motion_blur", "noise", "erase")
_BACKGROUND = {"uniform": 1.0, "hybrid": 0.5, "density": 0.0, "keypoints": 0.0}


def make_augmentation(train: Section, sees_crops: bool) -> tuple[dict[str, Any], list[str]]:
    """Make the section ``augmentation``; what is off there is off here.

    Args:
        train: section ``data.train``.
        sees_crops: whether the network sees crops of animals.

    Returns:
        the section, and notes on what is drawn otherwise here.

    Raises:
        RunError: a value is none that DeepLabCut takes.
    """
    notes: list[str] = []
    made: dict[str, Any] = {"rotation": 0.0, "scale": [1.0, 1.0], "translation": 0.0, "flip": _flip(train)}
    crop = _crop(train)
    made["crop"] = crop
    if (affine := train.optional("affine")) is not None:
        made |= _affine(affine, crop["size"], notes)
    if (boxes := train.optional("random_bbox_transform")) is not None and sees_crops:
        if (chance := made.pop("p", 1.0)) < 1:
            # The chance of one would be that of the other here.
            notes.append(f"{train.at}.affine: drawn for each image here, for {chance:.0%} of them there")
        made |= _boxes(boxes, made, notes)
    made["transforms"] = _make_transforms(train)
    return made, notes


def _make_transforms(train: Section) -> dict[str, Any]:
    """Transforms in the order in which DeepLabCut has them; those that are not listed there are off."""
    named: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
        ("hist_eq", "equalize", {"by_channel": True}),
        ("motion_blur", "motion_blur", {"length": _BLUR_LENGTH}),
        ("covering", "erase", _COVERING),
        ("elastic_transform", "elastic", _ELASTIC),
        ("grayscale", "gray", {"strength": _GRAY}),
    )
    made: dict[str, Any] = {name: {"p": 0.0} for name in _OFF}
    made |= {
        name: {"type": name, "p": _CHANCE, **settings}
        for key, name, settings in named
        if train.content.get(key)
    }
    if noise := train.content.get("gaussian_noise"):
        # True, like any other value that is no number, is a default.
        plain = isinstance(noise, bool | Mapping)
        strength = _NOISE if plain else min(1.0, train.positive("gaussian_noise") / _BITS)
        made["noise"] = {"type": "noise", "p": _CHANCE, "strength": round(strength, 6)}
    return made


def _flip(train: Section) -> float:
    given = train.content.get("hflip")
    if not given:
        return 0.0
    if given is True:
        return _CHANCE
    if isinstance(given, Mapping):
        return _probability(train.section("hflip"), "p", _CHANCE)
    return _probability(train, "hflip", _CHANCE)


def _crop(train: Section) -> dict[str, Any]:
    section = train.optional("crop_sampling")
    if section is None:
        return {"size": None}
    method = section.content.get("method", "hybrid")
    if method not in _BACKGROUND:
        raise section.error(f"must be one of {', '.join(_BACKGROUND)}, not {method!r}", "method")
    return {
        "size": [section.size("height"), section.size("width")],
        "shift": min(_LARGEST_SHIFT, max(0.0, section.number("max_shift", _LARGEST_SHIFT))),
        "background": _BACKGROUND[method],
    }


def _affine(affine: Section, window: list[int] | None, notes: list[str]) -> dict[str, Any]:
    chance = _probability(affine, "p", 0.9)
    if chance == 0:
        return {}
    made: dict[str, Any] = {}
    if affine.content.get("rotation") is not None:
        made["rotation"] = min(180.0, abs(affine.number("rotation")))
    if affine.content.get("scaling") is not None:
        made["scale"] = _range(affine, "scaling")
    if pixels := abs(
        affine.number("translation", 0.0) if affine.content.get("translation") is not None else 0.0
    ):
        if window is None:
            notes.append(
                f"{affine.at}.translation: not taken over: {pixels:g} pixels are no fraction of images of unknown "
                "size; set augmentation.translation"
            )
        else:
            made["translation"] = min(1.0, round(pixels / max(window), 6))
    if chance < 1:
        made["p"] = chance
    return made


def _boxes(boxes: Section, before: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Changes of the box are changes of its crop: a larger box shows a smaller animal."""
    chance = _probability(boxes, "p", 1.0)
    chances = {name: chance * _probability(boxes, f"{name}_prob", default) for name, default in _BOX_CHANCES}
    made: dict[str, Any] = {}
    if chances["shift"] and (shift := boxes.number("shift_factor", 0.1)):
        made["translation"] = min(1.0, max(before["translation"], abs(shift)))
    if chances["scale"]:
        low, high = _range(boxes, "scale_factor", [0.75, 1.25])
        smallest, largest = before["scale"]
        made["scale"] = [round(smallest / high, 6), round(largest / low, 6)]
    often = [f"{name} for {each:.0%}" for name, each in chances.items() if 0 < each < 1]
    if often:
        notes.append(f"{boxes.at}: drawn for each image here, {', '.join(often)} of them there")
    return made


_BOX_CHANCES = (("shift", 0.25), ("scale", 1.0))


def _probability(section: Section, key: str, default: float) -> float:
    value = section.number(key, default)
    if not 0 <= value <= 1:
        raise section.error(f"must be a probability from 0 to 1, not {value:g}", key)
    return value


def _range(section: Section, key: str, default: list[float] | None = None) -> list[float]:
    """Smallest and largest factor; one number is both."""
    given = section.content.get(key, default)
    listed = given if isinstance(given, list | tuple) else [given, given]
    try:
        low, high = (float(each) for each in listed)
    except (TypeError, ValueError):
        low = high = 0.0
    if not 0 < low <= high:
        raise section.error(f"must be the smallest and the largest factor, not {given!r}", key)
    return [low, high]
