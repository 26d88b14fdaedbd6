"""Build the network of a run from its spec."""

from __future__ import annotations

from typing import overload

from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.specs import DetectorRunSpec, RunBase, RunSpec


@overload
def build_model(spec: RunSpec, pretrained: bool = ...) -> PoseModel: ...


@overload
def build_model(spec: DetectorRunSpec, pretrained: bool = ...) -> DetectorModel: ...


@overload
def build_model(spec: RunBase, pretrained: bool = ...) -> PoseModel | DetectorModel: ...


def build_model(spec: RunBase, pretrained: bool = False) -> PoseModel | DetectorModel:
    """Build the network of a run with fresh (or, if asked, pretrained) weights.

    Raises:
        PluginError: a plugin's class cannot be imported.
    """
    if isinstance(spec, RunSpec):
        # A point of its own is always learned, whichever keypoints are labelled.
        untrained = () if spec.model.learns_centres() else spec.untrained_keypoints
        return PoseModel(spec.model, spec.finds, pretrained, untrained)
    if isinstance(spec, DetectorRunSpec):
        return DetectorModel(spec.network, spec.skeleton, pretrained)
    raise TypeError(f"no network is built from a {type(spec).__name__}")
