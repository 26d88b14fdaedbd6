"""Hand the network of a run over to the runtime that predictions ask for."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import torch

from pose_core.catalog import get_catalog
from pose_core.io.downloads import get_cache_folder
from pose_core.model.assemble import PoseModel
from pose_core.model.runner import use_runtime
from pose_core.model.torch_runtime import TorchRuntime
from pose_core.model.weights import file_hash
from pose_core.reporting import current_reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec, RuntimeConfig


def load_network(run: Run[RunSpec], config: RuntimeConfig, device: torch.device) -> PoseModel:
    """Load the network of a run; a runtime computes it in predictions.

    Args:
        run: of a pose network.
        config: of the runtime.
        device: where it computes.

    Raises:
        RunError: the weights are missing, altered or do not fit.
        ConfigError: the runtime cannot take the network, or not on this device.
        PluginError: the runtime computes something else, or fails.
    """
    model = run.load_model(device)
    use_runtime(model, config, choose_cache(run, config, device), run.name)
    return model


def note_detector(config: RuntimeConfig) -> None:
    """Say that a detector does not go through a runtime that was asked for."""
    # Its boxes are chosen within the network, by steps whose number depends on the image.
    if get_catalog().component("runtime", config.type).factory() is not TorchRuntime:
        current_reporter().note("note: torch computes the detector; other runtimes take pose networks")


def choose_cache(run: Run[RunSpec], config: RuntimeConfig, device: torch.device) -> Path:
    """Name the folder in the user's cache for what a runtime makes of the network of a run.

    Not in the run: that may be read-only, or on a disk that several machines share.
    """
    component = get_catalog().component("runtime", config.type)
    content = {
        "weights": file_hash(run.weights_file),
        "network": run.spec.model_dump(mode="json", include={"skeleton", "model"}),
        "runtime": config.model_dump(mode="json"),
        "device": device.type,
        # Code of the same version that was changed is found out by comparing the results.
        "versions": [
            torch.__version__,
            *(importlib.metadata.version(name) for name in ("pose-core", component.plugin.distribution)),
        ],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return get_cache_folder() / "runtimes" / f"{component.name}-{digest[:16]}"
