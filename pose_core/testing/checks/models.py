"""Level 1: models."""

from __future__ import annotations

import torch

from pose_core.errors import PoseError
from pose_core.model.build import build_model
from pose_core.testing.checks.check import MODEL, check, demand
from pose_core.testing.checks.project import resolved
from pose_core.testing.checks.targets import ModelSubject


@check(1, MODEL)
def check_model_builds(subject: ModelSubject) -> None:
    """The network of the model can be built (without memory)."""
    subject.skip_incomplete()
    try:
        spec = resolved(subject.model)
        # Tensors without storage: the largest preset takes neither memory nor time for its initial weights.
        with torch.device("meta"):
            network = build_model(spec)
    except PoseError as error:
        raise AssertionError(str(error)) from None
    demand(network.size_multiple > 0, "size_multiple must be positive")


CHECKS = (check_model_builds,)
