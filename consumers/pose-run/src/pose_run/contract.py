"""Read what an exported folder says of itself, and refuse what this version cannot keep to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pose_run.errors import ExportError

FORMAT, VERSION = "pose-export", 1
CONTRACT = "contract.json"
DETECTOR = "detector"
"""Name of the stage that finds boxes."""
SUFFIXES = (".onnx", ".xml")
"""Of files that can be computed: by ONNX Runtime, by OpenVINO."""

_ANEW = "export the run again"


@dataclass(frozen=True)
class View:
    """How an image becomes the input of the network.

    Attributes:
        sees: ``frame``, or ``animal``: a crop around a box.
        multiple: sides of the input are multiples of it.
        scale: of frames, where ``size`` is None.
        size: (height, width) of the input, where it is fixed.
        margin, margin_pixels: free space around a box on each side, as a fraction of its longer side and in pixels.
        extent: side of the square of pixels that a crop shows; None: as the box says.
        half_pixel, label_offset, label_zoom: where keypoints lie beside pixels, for models of other tools.
    """

    sees: str
    multiple: int
    scale: float
    size: tuple[int, int] | None
    margin: float
    margin_pixels: float
    extent: float | None
    half_pixel: bool
    label_offset: float
    label_zoom: float


@dataclass(frozen=True)
class Contract:
    """What a folder holds.

    Attributes:
        folder: itself.
        file: of the network.
        outputs: names of what it puts out.
        height, width: of its images; None: any multiple.
        view: how images become its input.
        keypoints, unique_keypoints, individuals: their names.
        edges: pairs of keypoints joined by a limb.
        thresholds: keypoints of a lower score are missing, by name.
        max_animals: of a frame, those with the highest scores; None: all.
        detector: folder of the detector that finds boxes; None: there is none.
    """

    folder: Path
    file: Path
    outputs: tuple[str, ...]
    height: int | None
    width: int | None
    view: View
    keypoints: tuple[str, ...]
    unique_keypoints: tuple[str, ...]
    individuals: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    thresholds: dict[str, float]
    max_animals: int | None
    detector: Path | None = None


Parsed = TypeVar("Parsed", "Contract", "DetectorContract")


@dataclass(frozen=True)
class DetectorContract:
    """What the folder of a detector holds.

    Attributes:
        folder: itself.
        file: of the network.
        outputs: names of what it puts out: ``boxes`` and ``scores``.
        height, width: of its images; None: any multiple.
        view: how images become its input.
        excess: pixels of the image that are taken off boxes on each side.
    """

    folder: Path
    file: Path
    outputs: tuple[str, ...]
    height: int | None
    width: int | None
    view: View
    excess: float


def read_contract(folder: Path | str) -> Contract:
    """Read the contract of a folder.

    Raises:
        ExportError: the folder is none, is of a newer version, needs what this program does not have, or lacks a file.
    """
    folder = Path(folder)
    contract, files = _read_as(folder, "poses", _parse)
    _check_files(contract.folder, contract.file, files)
    return contract


def read_detector_contract(folder: Path | str) -> DetectorContract:
    """Read the contract of the folder of a detector.

    Raises:
        ExportError: the folder is none, is of a newer version, needs what this program does not have, or lacks a file.
    """
    contract, files = _read_as(Path(folder), "boxes", _parse_detector)
    _check_files(contract.folder, contract.file, files)
    return contract


def _read_as(
    folder: Path, finds: str, parse: Callable[[Path, dict[str, Any]], Parsed]
) -> tuple[Parsed, dict[str, str]]:
    """Read and parse the contract of a folder that finds something; returns hashes of files as well."""
    content = _read(folder)
    path = folder / CONTRACT
    if content.get("format") != FORMAT:
        raise ExportError(
            f"{path}: is no contract of an exported model; name the folder that 'pose export' made"
        )
    version = content.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ExportError(
            f"{path}: has version {version}, and this pose-run knows up to {VERSION}; pip install --upgrade pose-run"
        )
    if (found := content.get("finds", "poses")) != finds:
        raise ExportError(
            f"{folder}: finds {found}, not {finds}; name the folder of a "
            f"{'pose model (load)' if finds == 'poses' else 'detector (load_detector)'}"
        )
    try:
        return parse(folder, content), dict(content["network"]["files"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ExportError(f"{path}: is damaged ({reason}); {_ANEW}") from None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / CONTRACT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "there is no such folder" if not folder.is_dir() else f"has no {CONTRACT}"
        raise ExportError(f"{folder}: {what}; name the folder that 'pose export' made") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read ({error}); {_ANEW}") from None
    if not isinstance(content, dict):
        raise ExportError(f"{path}: must hold a JSON object; {_ANEW}")
    return content


def _parse(folder: Path, content: dict[str, Any]) -> Contract:
    network, skeleton, use = content["network"], content["skeleton"], content["use"]
    inputs = [put["name"] for put in network["inputs"]]
    file = _find_file(folder, network)
    if network["decoding"] != "inside":
        raise ExportError(
            f"{folder}: its keypoints are put together outside of the file, which pose-run does not; predict with "
            "pose_core"
        )
    if inputs != ["image"]:
        raise ExportError(
            f"{folder}: its network refines poses of an earlier one, which pose-run does not; predict with pose_core"
        )
    height, width = _parse_sides(network)
    thresholds = {str(key): _number(value) for key, value in use["thresholds"].items()}
    names = tuple(map(str, skeleton["keypoints"])), tuple(map(str, skeleton["unique_keypoints"]))
    if lost := [each for each in (*names[0], *names[1]) if each not in thresholds]:
        raise ValueError(f"no threshold of {lost[0]}")
    return Contract(
        folder=folder,
        file=file,
        outputs=tuple(put["name"] for put in network["outputs"]),
        height=height,
        width=width,
        view=_parse_view(content["view"]),
        detector=folder / "stages" / DETECTOR if DETECTOR in content.get("stages", ()) else None,
        keypoints=names[0],
        unique_keypoints=names[1],
        individuals=tuple(map(str, skeleton["individuals"])),
        edges=tuple((str(one), str(other)) for one, other in skeleton["edges"]),
        thresholds=thresholds,
        max_animals=None if use["max_animals"] is None else int(use["max_animals"]),
    )


def _parse_detector(folder: Path, content: dict[str, Any]) -> DetectorContract:
    network = content["network"]
    outputs = tuple(put["name"] for put in network["outputs"])
    if outputs != ("boxes", "scores"):
        raise ValueError(f"it puts out {', '.join(outputs)}, not boxes and scores")
    height, width = _parse_sides(network)
    return DetectorContract(
        folder=folder,
        file=_find_file(folder, network),
        outputs=outputs,
        height=height,
        width=width,
        view=_parse_view(content["view"]),
        excess=_number(content["use"]["excess"]),
    )


def _find_file(folder: Path, network: dict[str, Any]) -> Path:
    name = network["file"]
    if Path(name).name != name:
        raise ValueError(f"file {name!r} is none of the folder")
    if Path(name).suffix not in SUFFIXES:
        raise ExportError(
            f"{folder}: holds {name}, and pose-run computes files of ONNX and OpenVINO; export it with --to onnx or "
            "--to openvino"
        )
    return folder / str(name)


def _parse_sides(network: dict[str, Any]) -> tuple[int | None, int | None]:
    """Height and width of the images; None: any multiple."""
    _, height, width, colours = network["inputs"][0]["shape"]
    if colours != 3 or network["inputs"][0]["dtype"] != "uint8":
        raise ValueError("its input is no RGB image of bytes")
    return None if height is None else int(height), None if width is None else int(width)


def _parse_view(view: dict[str, Any]) -> View:
    if view["sees"] not in ("frame", "animal"):
        raise ValueError(f"view.sees is {view['sees']!r}")
    size = None if view["size"] is None else (int(view["size"][0]), int(view["size"][1]))
    if view["sees"] == "animal" and size is None:
        raise ValueError("crops have no size")
    return View(
        sees=view["sees"],
        multiple=int(view["multiple"]),
        scale=_number(view["scale"]),
        size=size,
        margin=_number(view["margin"]),
        margin_pixels=_number(view["margin_pixels"]),
        extent=None if view["extent"] is None else _number(view["extent"]),
        half_pixel=bool(view["half_pixel"]),
        label_offset=_number(view["label_offset"]),
        label_zoom=_number(view["label_zoom"]),
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _check_files(folder: Path, file: Path, files: dict[str, str]) -> None:
    if file.name not in files:
        raise ExportError(f"{folder / CONTRACT}: has no hash of {file.name}; {_ANEW}")
    for name, digest in files.items():
        path = folder / name
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ExportError(
                f"{path}: cannot be read ({error.strerror}); copy the whole folder, or {_ANEW}"
            ) from None
        if found != digest:
            raise ExportError(f"{path}: is not the file that was exported; copy the whole folder, or {_ANEW}")
