"""Compute an exported network by the engine that its file is for; only that one is imported."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_run.contract import Contract, DetectorContract
from pose_run.errors import ExportError
from pose_run.geometry import Image

Compute = Callable[[Image], list[npt.NDArray[Any]]]
"""Computes (B, H, W, 3) uint8 RGB; the outputs in the order of the contract. May be used by several threads."""


def open_network(contract: Contract | DetectorContract, threads: int | None) -> Compute:
    """Open the file of a folder.

    Args:
        contract: of the folder.
        threads: that compute; None: as many as there are cores.

    Raises:
        ExportError: the engine is not installed, or cannot open the file.
    """
    if contract.file.suffix == ".xml":
        return _open_openvino(contract.file, contract.outputs, threads)
    return _open_onnx(contract.file, contract.outputs, threads)


def _open_onnx(file: Path, outputs: tuple[str, ...], threads: int | None) -> Compute:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    # Its errors have no class in common that it makes public.
    except Exception as error:
        raise ExportError(f"{file}: cannot be opened by ONNX Runtime ({_first_line(error)})") from None

    def compute(pictures: Image) -> list[npt.NDArray[Any]]:
        found: list[npt.NDArray[Any]] = session.run(list(outputs), {"image": pictures})
        return found

    return compute


@functools.cache
def _get_core() -> Any:
    """OpenVINO's core, one for the process: of several, the last one deleted may leave the thread a stack for signals
    that is gone, and the next signal then ends the process."""
    import openvino

    return openvino.Core()


def _open_openvino(file: Path, outputs: tuple[str, ...], threads: int | None) -> Compute:
    try:
        core = _get_core()
    except ModuleNotFoundError:
        raise ExportError(
            f"{file}: is computed by OpenVINO, which is not installed: pip install 'pose-run[openvino]'"
        ) from None

    # By default processors with bfloat16 would compute with it, and find other keypoints.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        model = core.compile_model(core.read_model(file), "CPU", settings)
    except RuntimeError as error:
        raise ExportError(f"{file}: cannot be opened by OpenVINO ({_first_line(error)})") from None
    ports = [model.output(name) for name in outputs]
    # A compiled model has one request of its own, and that one set of tensors.
    one_at_a_time = threading.Lock()

    def compute(pictures: Image) -> list[npt.NDArray[Any]]:
        with one_at_a_time:
            found = model({"image": pictures})
            return [np.array(found[port]) for port in ports]

    return compute


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
