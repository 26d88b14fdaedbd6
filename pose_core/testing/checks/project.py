"""A small project to try models with. No torch."""

from __future__ import annotations

from pose_core.catalog import Model, get_catalog
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, resolve

_SKELETON = {
    "keypoints": ["nose", "left", "right", "tail"],
    "edges": [["nose", "left"], ["nose", "right"], ["nose", "tail"]],
    "symmetry": [["left", "right"]],
}


def resolved(model: Model) -> RunSpec:
    """The configuration that a model makes of a project that it is for.

    Raises:
        ConfigError: it is not valid.
    """
    one = get_catalog().method(model.method).animals == "one"
    several: dict[str, object] = {} if one else {"individuals": ["one", "two"]}
    if model.skeleton_needs == "identity":
        several["identified"] = True
    if model.skeleton_needs == "unique_keypoints":
        several["unique_keypoints"] = ["corner"]
    # The source need not exist: specs are checked without looking at the data.
    return resolve(model, Layer({"skeleton": {**_SKELETON, **several}, "data": {"source": "nowhere"}}), [])
