"""Programs of torch.export as files: the operations of a network and its weights, none of its Python."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.conversion import find_reason, keep_quiet
from pose_core.interfaces.exporter import Exporter, ExporterContext, RunFile, WrittenNetwork

_NOISY = ("torch.export", "torch.fx.experimental.symbolic_shapes", "torch._export")

_SAMPLE = "sample_inputs"
_RUNS_CODE = ("custom_obj_", "opaque_obj_")
"""Beginnings of the names of members that torch would unpickle."""


class TorchExporter(Exporter):
    """Writes ``.pt2``: what ``torch.export.load`` reads, in Python or C++ (``torch::nativert``).

    Files hold no pickle: sample inputs, which torch would store as one, are left out, and a file that holds any is
    not opened.
    """

    suffix = ".pt2"

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        """Trace the network and write it."""
        sides = {} if context.fixed_size else {1: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO}
        batch = torch.export.Dim("batch", min=1)
        shapes = tuple({0: batch, **(sides if i == 0 else {})} for i in range(len(context.example)))
        try:
            with torch.no_grad(), keep_quiet(_NOISY, logging.CRITICAL):
                program = torch.export.export(
                    context.network, tuple(context.example), dynamic_shapes={"tensors": shapes}
                )
        # The exporter raises whatever its steps do; the first line says which operation it was.
        except Exception as error:
            raise ConfigError(
                f"exporter torch: {context.name} cannot be traced: {find_reason(error)}"
            ) from error
        # Else the example would be in the file, and as a pickle.
        program.example_inputs = None
        for node in program.graph.nodes:
            # Names files of this machine, line by line.
            node.meta.pop("stack_trace", None)
        with keep_quiet(_NOISY, logging.CRITICAL):
            torch.export.save(program, path)
        needs = {"torch": torch.__version__.partition("+")[0]}
        if libraries := _list_libraries(program):
            needs["operators"] = ", ".join(libraries)
        return WrittenNetwork(needs, _fixes_sides(program))

    def open(self, path: Path) -> RunFile:
        """Load the program; what it computes is on the CPU."""
        refuse_pickles(path)
        try:
            with keep_quiet(_NOISY, logging.CRITICAL):
                program = torch.export.load(path).module()
        # Of a damaged file anything may be raised.
        except Exception as error:
            raise DataError(
                f"{path}: cannot be opened as a program of torch ({find_reason(error)})"
            ) from error

        @torch.inference_mode()
        def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            found: Sequence[Tensor] = program(*tensors)
            return found

        return run


def refuse_pickles(path: Path) -> None:
    """Refuse a file of torch.export that would be unpickled when it is loaded, for pickles may run code.

    Raises:
        DataError: it would be, or is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = PurePosixPath(member)
                if name.parent.name == _SAMPLE and archive.getinfo(member).file_size:
                    raise DataError(
                        f"{path}: holds sample inputs as a pickle, which may run code; export it anew"
                    )
                if name.name.startswith(_RUNS_CODE):
                    raise DataError(f"{path}: holds objects of Python, which may run code; export it anew")
                if name.name.endswith("_config.json") and _uses_pickle(json.loads(archive.read(member))):
                    raise DataError(f"{path}: holds weights as pickles, which may run code; export it anew")
                if name.suffix == ".pt" and name.parent.name != _SAMPLE:
                    raise DataError(f"{path}: is of an older form that holds pickles; export it anew")
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened as a program of torch ({error})") from None


def _uses_pickle(content: object) -> bool:
    if isinstance(content, dict):
        return content.get("use_pickle") is True or any(map(_uses_pickle, content.values()))
    return isinstance(content, list) and any(map(_uses_pickle, content))


def _list_libraries(program: torch.export.ExportedProgram) -> list[str]:
    """List the libraries beside torch whose operators the program uses: import them before it is loaded."""
    used = {
        node.target.namespace
        for node in program.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    }
    return sorted(used - {"aten", "prim", "prims"})


def _fixes_sides(program: torch.export.ExportedProgram) -> bool:
    """Whether tracing has fixed height or width of the images."""
    (first, *_) = (
        node
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    )
    return any(isinstance(side, int) for side in first.meta["val"].shape[1:3])
