"""Say what the outputs of a head are, by what the head says or else by shape and name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pose_core.data.palette import Colour, keypoint_colours
from pose_core.interfaces import Grid, Head, MapView, Target
from pose_core.structures import Skeleton

Floats = npt.NDArray[np.float32]

_WHITE: Colour = (255, 255, 255)

_VECTORS = ("affinit", "field", "vector")
_OFFSETS = ("off", "locref", "regress", "displacement", "shift")
_CLASSES = ("ident", "class", "individual")
_SCORES = ("heat", "score", "confidence", "centre", "center", "mask")


@dataclass(frozen=True)
class ShownOutput:
    """An output of one input of the network, or its target, ready to be drawn.

    Attributes:
        name: of the output.
        view: what it is; with as many labels as there are maps.
        values: (C, h, w), (2 C, h, w), (C,), (C, n) or (C, 2), as ``view.meaning`` says, float32, after the
            activation.
        grids: where the columns and the rows of its cells lie in the network's input.
        weight: of a target, as ``values`` has it or (1, ...); 0 where the output does not matter. None: of an
            output.
        own_colours: of the labels; empty for the usual ones.
    """

    name: str
    view: MapView
    values: Floats
    grids: tuple[Grid, Grid]
    weight: Floats | None = None
    own_colours: tuple[Colour, ...] = ()

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Of the labels."""
        return self.own_colours or tuple(keypoint_colours(len(self.view.labels)))

    def like_keypoints(self, skeleton: Skeleton) -> ShownOutput:
        """The same, with the colours that keypoints have elsewhere; what else is among them is white."""
        if not set(self.view.labels) & set(skeleton.keypoints):
            return self
        known = dict(zip(skeleton.keypoints, keypoint_colours(skeleton.num_keypoints), strict=True))
        return replace(self, own_colours=tuple(known.get(label, _WHITE) for label in self.view.labels))


def describe_outputs(
    head: Head, shapes: dict[str, torch.Size], skeleton: Skeleton
) -> tuple[dict[str, MapView], list[str]]:
    """Say how the outputs of a head are shown.

    Args:
        head: which made them.
        shapes: of the outputs, by name.
        skeleton: of the model.

    Returns:
        a view for each output that can be shown, and the names of those that cannot.
    """
    said = dict(head.describe_maps())
    views: dict[str, MapView] = {}
    for name, shape in shapes.items():
        view = said.get(name) or guess_view(name, tuple(shape), skeleton, name in head.logits)
        if view is not None:
            views[name] = view
    for name, view in views.items():
        if view.meaning == "offset" and not view.read_at and name not in said:
            views[name] = replace(view, read_at=_find_scores(name, view, views, shapes))
    return views, [name for name in shapes if name not in views]


def guess_view(name: str, shape: tuple[int, ...], skeleton: Skeleton, logits: bool = False) -> MapView | None:
    """Guess what an output is by its shape and its name; None if nothing can be drawn of it.

    Args:
        name: of the output.
        shape: batch first.
        skeleton: of the model.
        logits: whether its loss compares logits.
    """
    keypoints, individuals = skeleton.keypoints, skeleton.individuals
    word = name.lower()
    if len(shape) == 2:
        labels = individuals if shape[1] == len(individuals) else ()
        return MapView("class", labels, activation="softmax" if logits else "none")
    if len(shape) == 3:
        labels = keypoints if shape[1] == len(keypoints) else ()
        if shape[2] == 2:
            return MapView("point", labels)
        return MapView(
            "distribution",
            labels,
            activation="softmax" if logits else "none",
            axis="y" if word.endswith("y") else "x",
        )
    if len(shape) != 4:
        return None
    channels, half = shape[1], shape[1] // 2
    even = not channels % 2
    if even and any(part in word for part in _VECTORS):
        edges = tuple(f"{a}–{b}" for a, b in skeleton.edges)
        return MapView("vector", edges if half == len(edges) else ())
    if even and any(part in word for part in _OFFSETS):
        return MapView("offset", keypoints if half == len(keypoints) else ())
    if any(part in word for part in _CLASSES):
        labels = individuals if channels == len(individuals) else ()
        return MapView("class", labels, activation="softmax" if logits else "none")
    # By the number of maps alone only where the name says nothing.
    if half == len(keypoints) and even and not any(part in word for part in _SCORES):
        return MapView("offset", keypoints)
    return MapView(
        "score",
        keypoints if channels == len(keypoints) else (),
        activation="sigmoid" if logits else "none",
    )


def show_output(
    name: str, view: MapView, head: Head, value: Tensor, input_size: tuple[int, int]
) -> ShownOutput:
    """Make an output of one input ready to be drawn.

    Args:
        name, view: of the output.
        head: which made it.
        value: without the batch axis.
        input_size: (height, width) of the network's input.
    """
    value = value.detach().float() * view.scale
    if view.activation == "sigmoid":
        value = value.sigmoid()
    elif view.activation == "softmax":
        value = value.softmax(-1 if view.meaning == "distribution" else 0)
    return _show(name, view, head, value, input_size, None)


def show_target(
    name: str, view: MapView, head: Head, target: Target, image: int, input_size: tuple[int, int]
) -> ShownOutput:
    """Make the target of an output of one image ready to be drawn.

    Args:
        name, view: of the output.
        head: which made it.
        target: of the batch.
        image: its place in the batch.
        input_size: (height, width) of the network's input.
    """
    # Probabilities as they are; the scale of others gives pixels.
    factor = view.scale if view.activation == "none" else 1.0
    value = target.value[image].detach().float() * factor
    weight = target.weight.expand_as(target.value)[image].detach().float()
    return _show(name, view, head, value, input_size, weight.cpu().numpy())


def _show(
    name: str,
    view: MapView,
    head: Head,
    value: Tensor,
    input_size: tuple[int, int],
    weight: Floats | None,
) -> ShownOutput:
    count = len(value) // 2 if view.meaning in ("offset", "vector") else len(value)
    if len(view.labels) != count:
        view = replace(view, labels=tuple(str(number) for number in range(count)))
    return ShownOutput(
        name, view, value.cpu().numpy(), _find_grids(view, head, tuple(value.shape), input_size), weight
    )


def _find_grids(
    view: MapView, head: Head, shape: tuple[int, ...], input_size: tuple[int, int]
) -> tuple[Grid, Grid]:
    """Find where columns and rows of cells lie: as the view or the predictor has it, or filling the input."""
    height, width = input_size
    own = view.grid or getattr(getattr(head, "predictor", None), "grid", None)
    if view.meaning == "point":
        grid = own or Grid(1.0, 0.0)
        return grid, grid
    if view.meaning == "distribution":
        sides = [(shape[-1], width if view.axis == "x" else height)] * 2
    elif len(shape) == 3:
        sides = [(shape[-1], width), (shape[-2], height)]
    else:
        return Grid(1.0, 0.0), Grid(1.0, 0.0)
    if own is not None and (view.grid is not None or all(_fits(own, *side) for side in sides)):
        return own, own
    (columns, across), (rows, down) = sides
    return Grid.cells(across / columns), Grid.cells(down / rows)


def _fits(grid: Grid, cells: int, pixels: int) -> bool:
    # Convolutions without padding leave out or add a few cells at the edges.
    return abs(grid.stride * cells - pixels) <= max(3 * grid.stride, 0.1 * pixels)


def _find_scores(name: str, view: MapView, views: dict[str, MapView], shapes: dict[str, torch.Size]) -> str:
    """Find the output of scores that says where offsets count; empty if there is none."""
    for other, about in views.items():
        same = shapes[other][-2:] == shapes[name][-2:] and 2 * shapes[other][1] == shapes[name][1]
        if about.meaning == "score" and same and about.labels == view.labels:
            return other
    return ""
