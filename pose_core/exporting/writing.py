"""Write what lies in an exported folder: the file of a network, pictures, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2

from pose_core.errors import PluginError, PoseError
from pose_core.escapes import escape_text
from pose_core.exporting.views import ViewSource
from pose_core.interfaces import Exporter, ExporterContext, WrittenNetwork
from pose_core.io.files import write_whole
from pose_core.model.weights import file_hash
from pose_core.structures import ByteArray

CONTRACT, PROOF, EXAMPLE = "contract.json", "proof.json", "example"
STAGES = "stages"
STEM = "network"
"""Beginning of the names of the files of a network."""


def write_network(exporter: Exporter, context: ExporterContext, path: Path) -> WrittenNetwork:
    """Let an exporter write a network.

    Raises:
        PoseError: it cannot, in one line whatever it raises.
    """
    try:
        written = exporter.write(context, path)
    except PoseError:
        raise
    # Whatever it is: a plugin of a stranger is no reason for a traceback of pages.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PluginError(
            f"exporter {exporter.config.type}: fails with {context.name}: {first}; use another exporter"
        ) from error
    if not path.is_file():
        raise PluginError(f"exporter {exporter.config.type}: wrote no {path.name}; it is broken")
    return written


def hash_files(folder: Path) -> dict[str, str]:
    """Hash the files of the network in a folder: SHA-256 by name."""
    return {path.name: file_hash(path) for path in sorted(folder.glob(f"{STEM}*"))}


def describe_source(source: ViewSource) -> dict[str, Any]:
    """Describe which images a proof is of."""
    if source.images is None:
        return {"of": "drawn", "why": escape_text(source.why), "used": source.count}
    return {"of": "validation", "used": source.count, "there": source.of, "notes": list(source.images.notes)}


def round_values(values: Iterable[float]) -> list[float]:
    """Round coordinates for a JSON file."""
    return [round(float(value), 4) for value in values]


def write_png(path: Path, image: ByteArray) -> None:
    """Write an image (H, W, 3) uint8 RGB."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    write_whole(path, data.tobytes())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object; NaN is refused, which is no JSON."""
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
