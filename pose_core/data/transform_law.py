"""What a transform may do with image and labels, and the line that says what it did instead."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from pose_core.errors import PluginError
from pose_core.interfaces import LabelledView, PlacedLabels


def check_image(image: object, shape: tuple[int, ...], name: str) -> None:
    """Refuse what is no image of the same form.

    Raises:
        PluginError: shape or dtype is another.
    """
    if not isinstance(image, np.ndarray):
        raise _refuse(name, f"returns {type(image).__name__} in the place of an image")
    if image.dtype != np.uint8 or image.shape != shape:
        raise _refuse(
            name, f"makes an image {image.shape} {image.dtype} of one {shape} uint8, which it must remain"
        )


def copy_labels(labels: PlacedLabels) -> PlacedLabels:
    """Copy labels, which a transform may change in place."""
    arrays = {f.name: getattr(labels, f.name) for f in fields(labels)}
    return replace(labels, **{name: array.copy() for name, array in arrays.items() if array is not None})


def check_view(
    view: object, before: PlacedLabels, shape: tuple[int, ...], name: str, adds_animals: bool
) -> None:
    """Refuse labels that are not those from before, covered in part.

    Args:
        view: as the transform returns it.
        before: the labels that it was given.
        shape: of the image that it was given.
        name: of the transform.
        adds_animals: whether rows may follow those from before.

    Raises:
        PluginError: one of them is not; the message names the transform.
    """
    if not isinstance(view, LabelledView):
        raise _refuse(name, f"returns {type(view).__name__}, not a LabelledView")
    check_image(view.image, shape, name)
    rows = len(before.keypoints)
    animals = len(view.labels.keypoints)
    if animals < rows or (animals > rows and not adds_animals):
        raise _refuse(name, f"makes {animals} animals of {rows}; rows of labels must stay, in their order")
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(view.labels, field.name)
        if old is None:
            if new is not None:
                raise _refuse(name, f"makes labels.{field.name}, which there were none of")
            continue
        # What exists once an image does so after it, too.
        wanted = old.shape if field.name == "unique_keypoints" else (animals, *old.shape[1:])
        if not isinstance(new, np.ndarray) or new.shape != wanted or new.dtype != old.dtype:
            is_now = f"{new.shape} {new.dtype}" if isinstance(new, np.ndarray) else type(new).__name__
            raise _refuse(name, f"makes labels.{field.name} {is_now}; it must be {wanted} {old.dtype}")
        kept = new[: len(old)]
        if field.name in ("keypoints", "unique_keypoints"):
            moved = ~((kept == old).all(axis=-1) | np.isnan(kept).all(axis=-1))
            if moved.any():
                place = ", ".join(map(str, np.argwhere(moved)[0].tolist()))
                raise _refuse(
                    name,
                    f"moves labels.{field.name}[{place}], which only the movement of a GeometricTransform may",
                )
        elif field.name not in ("occluded", "absent") and not np.array_equal(kept, old, equal_nan=True):
            raise _refuse(name, f"changes labels.{field.name} of animals that were there")


def _refuse(name: str, reason: str) -> PluginError:
    return PluginError(f"transform {name}: {reason}; the transform is broken")
