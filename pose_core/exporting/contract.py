"""Say what an exported folder holds, so that a program in any language can use it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from pose_core.catalog import get_catalog
from pose_core.errors import PoseError
from pose_core.interfaces import WrittenNetwork
from pose_core.interfaces.thresholds import Thresholds
from pose_core.model.exported import ANIMALS, IDENTITY, IMAGE, INITIAL, UNIQUE, ExportedNetwork
from pose_core.model.weights import file_hash
from pose_core.pipeline.plan import max_animals
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyRunSpec, Preprocess, RunSpec
from pose_core.specs.usage import find_used
from pose_core.structures import Skeleton

FORMAT, VERSION = "pose-export", 1
"""Of the contract; a program refuses a version above the one that it knows."""

_MEANINGS = {
    "keypoints": "x and y of each keypoint of each animal, in pixels of the input; NaN: missing",
    "keypoint_scores": "how certain each keypoint is, from 0 to 1; 0: missing",
    "scores": "of each animal, from 0 to 1; 0: there is none in this row",
    "identity_scores": "probability of each individual, by animal; names are given outside, one a frame each",
    "unique_keypoints": "x and y of the keypoints that exist once a frame, in pixels of the input; NaN: missing",
    "unique_scores": "how certain each of these is, from 0 to 1",
}
_AXES = {
    "keypoints": ["batch", "animal", "keypoint", "xy"],
    "keypoint_scores": ["batch", "animal", "keypoint"],
    "scores": ["batch", "animal"],
    "identity_scores": ["batch", "animal", "individual"],
    "unique_keypoints": ["batch", "unique_keypoint", "xy"],
    "unique_scores": ["batch", "unique_keypoint"],
}
assert {*ANIMALS, *IDENTITY, *UNIQUE} == set(_MEANINGS) == set(_AXES)


def describe_network(
    network: ExportedNetwork,
    written: WrittenNetwork,
    example: Sequence[Tensor],
    outputs: Sequence[Tensor],
    files: Mapping[str, str],
    main: str,
) -> dict[str, Any]:
    """Describe the file: what goes in, what comes out, what it needs.

    Args:
        network: that is in it.
        written: by the exporter.
        example: that it was written with.
        outputs: that it puts out for that.
        files: of the network, with their SHA-256.
        main: the one to open.
    """
    height, width = example[0].shape[1:3]
    multiple = network.model.size_multiple
    image = describe_image(height, width, multiple, written.fixed_size)
    keypoints = network.model.skeleton.num_keypoints
    initial = [
        {
            "name": INITIAL[0],
            "dtype": "float32",
            "axes": ["batch", "animal", "keypoint", "xy"],
            "shape": [None, 1, keypoints, 2],
            "meaning": "the pose that is refined, in pixels of the input; NaN: a missing keypoint",
        },
        {
            "name": INITIAL[1],
            "dtype": "float32",
            "axes": ["batch", "animal", "keypoint"],
            "shape": [None, 1, keypoints],
            "meaning": "its scores; 0: missing",
        },
    ]
    return {
        "file": main,
        "files": dict(files),
        "needs": dict(written.needs),
        "inputs": [image, *(initial if len(network.inputs) > 1 else [])],
        "outputs": [
            _describe_output(name, tensor, network, written.fixed_size)
            for name, tensor in zip(network.outputs, outputs, strict=True)
        ],
        "normalisation": "inside",
        "decoding": "inside" if network.decodes else "outside",
    }


def describe_image(height: int, width: int, multiple: int, fixed: bool) -> dict[str, Any]:
    """Describe the image that goes into a file.

    Args:
        height, width: of the example.
        multiple: sides are multiples of it.
        fixed: whether all images are as high and wide as the example.
    """
    sides = (
        f"{height} high and {width} wide" if fixed else f"height and width are any multiples of {multiple}"
    )
    return {
        "name": IMAGE,
        "dtype": "uint8",
        "axes": ["batch", "height", "width", "colour"],
        "shape": [None, height if fixed else None, width if fixed else None, 3],
        "multiple": multiple,
        "meaning": f"pixels from 0 to 255, colours in the order red, green, blue; any number of images; {sides}",
    }


def _describe_output(name: str, tensor: Tensor, network: ExportedNetwork, fixed: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "dtype": str(tensor.dtype).removeprefix("torch.")}
    if network.decodes:
        return described | {
            "axes": _AXES[name],
            "shape": [None, *tensor.shape[1:]],
            "meaning": _MEANINGS[name],
        }
    # Sides of maps follow those of the image; other outputs have a shape of their own.
    sides = list(tensor.shape[2:]) if fixed or tensor.dim() != 4 else [None, None]
    return described | {
        "shape": [None, tensor.shape[1], *sides] if tensor.dim() > 1 else [None],
        "meaning": f"output {name.rpartition('.')[2]} of the head {name.rpartition('.')[0]}, undecoded",
    }


def describe_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Describe what is found: names in the order of the arrays."""
    return {
        "keypoints": list(skeleton.keypoints),
        "edges": [list(edge) for edge in skeleton.edges],
        "unique_keypoints": list(skeleton.unique_keypoints),
        "individuals": list(skeleton.individuals),
    }


def describe_view(preprocess: Preprocess, multiple: int) -> dict[str, Any]:
    """Describe how images become inputs of the network, as numbers; docs/use/export.md has the formulas."""
    # mean and std are inside the file; the others are of boxes that are made of labels.
    elsewhere = {"view", "mean", "std", "min_box", "centre"}
    view = {key: value for key, value in asdict(preprocess).items() if key not in elsewhere}
    return {"sees": preprocess.view, "multiple": multiple, **view}


def describe_use(run: Run) -> dict[str, Any]:
    """Describe what prediction does with the outputs: thresholds, numbers of animals."""
    skeleton = run.spec.finds
    thresholds = Thresholds.of(run.spec.inference.threshold, skeleton)
    every = np.concatenate([thresholds.keypoints, thresholds.unique])
    one = get_catalog().method(run.spec.model.method).animals == "one"
    return {
        "thresholds": {
            name: round(float(value), 6)
            for name, value in zip((*skeleton.keypoints, *skeleton.unique_keypoints), every, strict=True)
        },
        "max_animals": 1 if one else max_animals(run.spec),
    }


def list_outside(network: ExportedNetwork, run: Run) -> list[str]:
    """List what the file does not do, a sentence each."""
    spec, said = run.spec, []
    if spec.model.view == "animal":
        said.append(
            "crops: they are cut around boxes as 'view' says, and keypoints return through its inverse"
        )
    else:
        said.append(
            "resizing: frames are resized and padded as 'view' says, and keypoints return through its inverse"
        )
    if len(network.inputs) > 1:
        said.append("poses: the file refines one in each image, which an earlier model must find")
    for name in network.undecoded:
        said.append(
            f"decoding of the head {name} ({spec.model.heads[name].type}): animals are put together in steps that "
            "depend on what is found"
        )
    if any(name in network.outputs for name in IDENTITY):
        said.append(
            "names of individuals: each is given to one animal of a frame at most, by all of them together"
        )
    if spec.inference.tiles is not None:
        said.append("tiles: the run looks at large frames in tiles; a program without them sees whole frames")
    if any(getattr(stage, "scales", (1.0,)) != (1.0,) for stage in spec.inference.stages.values()):
        said.append("scales: the run looks at each box at several scales; a program without them at one")
    if spec.inference.follow:
        said.append("follow: the run looks around the pose of the last frame; a program without it does not")
    said.append("tracking: who is who from frame to frame")
    return said


def describe_origin(run: Run[AnyRunSpec]) -> dict[str, Any]:
    """Say which run it was, by what it was made, and whose weights it began with."""
    spec = run.spec
    weights: list[dict[str, str]] | None
    try:
        weights = find_used(run.path).weights
    except PoseError:
        # The run names a model or weights that are no longer installed, which its use does not need.
        weights = None
    return {
        "name": run.name,
        "method": spec.model.method if isinstance(spec, RunSpec) else spec.network.type,
        "weights_sha256": file_hash(run.weights_file),
        "snapshot": run.snapshot,
        "began_with": weights,
        "pose_core": importlib.metadata.version("pose-core"),
    }
