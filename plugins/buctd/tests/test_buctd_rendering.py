"""Poses drawn as maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_buctd.conditions import Conditions
from pydantic import TypeAdapter, ValidationError

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Predictions
from pose_core.specs import AnyInput
from pose_core.structures import Skeleton

NAMES = tuple("abcde")
NAN = float("nan")


def make(names: tuple[str, ...] = NAMES, **config: Any) -> Conditions:
    spec = TypeAdapter(AnyInput).validate_python({"type": "buctd/conditions", **config})
    part: Conditions = BuildContext(skeleton=Skeleton(names)).build("input", spec)
    return part


def as_deeplabcut(**config: Any) -> Conditions:
    return make(rendering="deeplabcut", peak=255.0, **config)


@settings(deadline=None, max_examples=60)
@given(
    x=st.floats(-3, 66, width=32),
    y=st.floats(-3, 50, width=32),
    sigma=st.floats(1, 4),
    peak=st.floats(0.5, 255),
)
def test_a_blob_sits_on_its_keypoint(x: float, y: float, sigma: float, peak: float) -> None:
    keypoints = torch.full((1, 5, 2), NAN)
    keypoints[0, 2] = torch.tensor([x, y])
    maps = make(sigma=sigma, peak=peak).render(keypoints, (48, 64))
    assert maps.shape == (1, 5, 48, 64)
    assert not maps[0, [0, 1, 3, 4]].any()
    assert float(maps.max()) <= peak * (1 + 1e-6)
    inside = 1 <= x <= 62 and 1 <= y <= 46
    if not inside:
        return
    blob = maps[0, 2].double()
    row, column = np.unravel_index(int(blob.argmax()), blob.shape)

    def vertex(low: float, middle: float, high: float) -> float:
        return (np.log(high) - np.log(low)) / (4 * np.log(middle) - 2 * np.log(low) - 2 * np.log(high))

    # The logarithm of a Gaussian is a parabola: three pixels say where its top is.
    assert 1 <= row + 1 <= 48
    columns, rows = blob[row], blob[:, column]
    if 0 < column < 63:
        assert abs(column + vertex(*columns[column - 1 : column + 2].tolist()) - x) < 0.1
    if 0 < row < 47:
        assert abs(row + vertex(*rows[row - 1 : row + 2].tolist()) - y) < 0.1


def test_whole_positions_have_the_full_height() -> None:
    maps = make(peak=2.0).render(torch.tensor([[[5.0, 7.0]] * 5]), (16, 32))
    assert torch.allclose(maps[0, :, 7, 5], torch.full((5,), 2.0))


@pytest.mark.parametrize("rendering", ["exact", "deeplabcut"])
@pytest.mark.parametrize("encoding", ["stacked", "coloured"])
def test_missing_keypoints_give_empty_maps(rendering: str, encoding: str) -> None:
    part = make(rendering=rendering, encoding=encoding)
    keypoints = torch.tensor(
        [[[NAN, NAN]] * 5, [[3.0, NAN]] * 5, [[NAN, 3.0]] * 5, [[float("inf"), 3.0]] * 5]
    )
    assert not part.render(keypoints, (32, 32)).any()


def theirs(keypoints: np.ndarray, size: tuple[int, int], colours: np.ndarray | None = None) -> np.ndarray:
    """What imported networks were shown, by OpenCV."""
    found = []
    for pose in keypoints:
        canvas = np.zeros((*size, len(pose) if colours is None else 3))
        for i, (x, y) in enumerate(pose):
            if np.isnan(x) or not (0 <= x <= size[1] and 0 <= y <= size[0]):
                continue
            if colours is None:
                canvas[int(y) - 1, int(x) - 1, i] = 255
            else:
                canvas[int(y) - 1, int(x) - 1] = colours[i]
        blurred = cv2.GaussianBlur(canvas, (15, 15), 0)
        found.append(blurred * (255 / blurred.max()) if blurred.any() else blurred)
    return np.stack(found).transpose(0, 3, 1, 2)


positions = st.one_of(
    st.floats(-4, 70, width=32), st.just(NAN), st.sampled_from([0.0, 0.5, 1.0, 39.0, 63.5, 64.0])
)


@settings(deadline=None, max_examples=100)
@given(values=st.lists(st.tuples(positions, positions), min_size=10, max_size=10), coloured=st.booleans())
def test_rendering_of_deeplabcut(values: list[tuple[float, float]], coloured: bool) -> None:
    keypoints = np.array(values, np.float32).reshape(2, 5, 2)
    keypoints[np.isnan(keypoints).any(-1)] = NAN
    keypoints[0, 4] = keypoints[0, 1]  # the later one covers the earlier
    part = as_deeplabcut(encoding="coloured" if coloured else "stacked")
    colours = part.colours.numpy() * 255 if coloured else None
    maps = part.render(torch.from_numpy(keypoints), (40, 64)).numpy()
    np.testing.assert_allclose(maps, theirs(keypoints, (40, 64), colours), atol=2e-3)


def test_the_rainbow_has_whole_steps() -> None:
    colours = (make(encoding="coloured").colours * 255).round().int().tolist()
    # Matplotlib's colour map of that name at 0, 64, 128, 192 and its end.
    assert colours[0] == [127, 0, 255]
    assert colours[-1] == [255, 0, 0]
    assert len({tuple(colour) for colour in colours}) == 5
    assert make(("one",), encoding="coloured").colours.shape == (1, 3)


def test_colours_are_added() -> None:
    colours = [[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]]
    part = make(("a", "b"), encoding="coloured", colours=colours)
    maps = part.render(torch.tensor([[[4.0, 5.0], [4.0, 5.0]]]), (16, 16))
    assert torch.allclose(maps[0, :, 5, 4], torch.tensor([1.0, 0.5, 0.0]))


def test_what_an_earlier_stage_found() -> None:
    part = make()
    skeleton = Skeleton(NAMES)
    assert not part.for_inference(Predictions.none(3, skeleton), (24, 32)).any()
    keypoints = torch.rand(2, 1, 5, 2) * 20
    scores = torch.full((2, 1, 5), 0.3)
    scores[1, 0, 3] = 0.0
    found = Predictions.none(2, skeleton).with_animals(keypoints, scores)
    maps = part.for_inference(found, (24, 32))
    assert maps.shape == (2, 5, 24, 32)
    assert maps.dtype == torch.float32
    assert maps.amax((2, 3)).gt(0.5).sum() == 9
    assert not maps[1, 3].any()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sigma": 0}, "sigma"),
        ({"encoding": "grey"}, "encoding"),
        ({"colours": [[1, 0, 0]]}, "colours: only for encoding: coloured"),
        ({"errors": {"jitter": 0.6, "miss": 0.6}}, "add up to 1.3"),
        ({"errors": {"swop": 0.1}}, "swop"),
        ({"errors": {"missing": 1.0}}, "missing"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"encoding": "coloured", "colours": [[1, 0, 0]]}, "1 colours for 5 keypoints"),
        ({"errors": {"sigma": {"z": 0.1}}}, "no keypoint 'z'"),
        ({"errors": {"sigma": {"a": 0.1}}}, "says nothing about 'b'"),
    ],
)
def test_mistakes_about_the_skeleton_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**config)
