"""The pose networks of a pipeline: what a runtime is given, where it keeps files, what the networks are given."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pose_core.catalog import get_catalog
from pose_core.io.downloads import get_cache_folder
from pose_core.model.assemble import Compute, Outputs, PoseModel
from pose_core.model.weights import file_hash
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec, RuntimeConfig

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """A pose network that was loaded for a pipeline.

    Attributes:
        run: that it is of.
        model: the network; several pipelines do not share one.
    """

    run: Run[RunSpec]
    model: PoseModel

    def describe(self) -> dict[str, object]:
        """Describe what decides what it computes: weights and configuration."""
        return {
            "weights": file_hash(self.run.weights_file),
            "network": self.run.spec.model_dump(mode="json", include={"skeleton", "model"}),
        }


def choose_cache(network: RunNetwork, config: RuntimeConfig, precision: int = 32) -> Path:
    """Name the folder in the user's cache for what a runtime makes of the network of a run.

    Not in the run: that may be read-only, or on a disk that several machines share.
    """
    component = get_catalog().component("runtime", config.type)
    content = {
        **network.describe(),
        "runtime": config.model_dump(mode="json"),
        "device": network.model.device.type,
        # Code of the same version that was changed is found out by comparing the results.
        "versions": _list_versions([component.plugin.distribution]),
        **({} if precision == 32 else {"precision": precision}),
    }
    return get_cache_folder() / "runtimes" / f"{component.name}-{_hash(content)}"


def choose_record(networks: Sequence[RunNetwork]) -> Path:
    """Name the file in the user's cache for what was measured of the runtimes of some networks, on this machine."""
    distributions = {component.plugin.distribution for component in get_catalog().components("runtime")}
    content = {
        "networks": [network.describe() for network in networks],
        "versions": _list_versions(sorted(distributions)),
        # A cache may lie on a disk that several machines share.
        "machine": [platform.node(), platform.machine(), torch.get_num_threads()],
    }
    return get_cache_folder() / "runtimes" / f"measured-{_hash(content)}.json"


def _list_versions(distributions: Sequence[str]) -> list[str]:
    # The core has a version of its own, and its runtime is in it.
    names = dict.fromkeys(("pose-core", *distributions))
    return [torch.__version__, *(importlib.metadata.version(name) for name in names)]


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def record_inputs(networks: Sequence[RunNetwork], keep: Callable[[int, Tensors], None]) -> Iterator[None]:
    """Hand over what pose networks are given while PyTorch computes them.

    Args:
        networks: of one pipeline.
        keep: gets the place of a network, and the tensors: the normalised images, then extra inputs in their order.
    """
    before = [network.model.compute for network in networks]
    for place, network in enumerate(networks):
        network.model.compute = _make_recorder(network.model, place, keep)
    try:
        yield
    finally:
        for network, compute in zip(networks, before, strict=True):
            network.model.compute = compute


def _make_recorder(model: PoseModel, place: int, keep: Callable[[int, Tensors], None]) -> Compute:
    def compute(images: Tensor, extra: Mapping[str, Tensor]) -> Outputs:
        keep(place, (images, *(extra[name] for name in model.inputs)))
        return model(images, **extra)  # type: ignore[no-any-return]

    return compute
