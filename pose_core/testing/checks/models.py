"""Level 1: models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch.overrides import TorchFunctionMode

from pose_core.errors import PoseError
from pose_core.model.build import build_model
from pose_core.testing.checks.check import MODEL, check, demand
from pose_core.testing.checks.project import resolved
from pose_core.testing.checks.targets import ModelSubject

_DRAWN = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})


class _WithoutValues(TorchFunctionMode):
    """Draws no random numbers for tensors without storage, which would take a third of the time."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call what is called, or give back the tensor that it would fill."""
        if func in _DRAWN and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@check(1, MODEL)
def check_model_builds(subject: ModelSubject) -> None:
    """The network of the model can be built (without memory)."""
    subject.skip_incomplete()
    try:
        spec = resolved(subject.model)
        # Tensors without storage: the largest preset takes neither memory nor time for its initial weights.
        with torch.device("meta"), _WithoutValues():
            network = build_model(spec)
    except PoseError as error:
        raise AssertionError(str(error)) from None
    demand(network.size_multiple > 0, "size_multiple must be positive")


CHECKS = (check_model_builds,)
