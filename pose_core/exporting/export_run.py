"""Export a trained model: files, a contract, an example with its answer, and the proof that they agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from pose_core.catalog import find_missing_package, get_catalog
from pose_core.errors import ConfigError, DataError, argument
from pose_core.escapes import escape_text
from pose_core.exporting.contract import (
    FORMAT,
    VERSION,
    describe_network,
    describe_origin,
    describe_skeleton,
    describe_use,
    describe_view,
    list_outside,
)
from pose_core.exporting.export_detector import describe_refusal, write_detector
from pose_core.exporting.proof import predict_itself, prove, takes_any_size, to_animals, to_unique
from pose_core.exporting.views import SeenView, find_images, make_views
from pose_core.exporting.writing import (
    CONTRACT,
    EXAMPLE,
    PROOF,
    STAGES,
    STEM,
    describe_source,
    hash_files,
    round_values,
    write_json,
    write_network,
    write_png,
)
from pose_core.interfaces import Exporter, ExporterContext
from pose_core.interfaces.thresholds import Thresholds
from pose_core.io.files import disk_errors, make_folder, parse_json
from pose_core.model.exported import ExportedNetwork
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import choose_snapshot
from pose_core.specs import DetectorRunSpec, ExporterConfig, RunSpec, parse_component
from pose_core.structures import FloatArray

_IMAGES = 100


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        folder: that holds it.
        contract: what ``contract.json`` says.
        proof: what ``proof.json`` says.
        stages: the networks that it builds on, by the names of what they supply.
    """

    folder: Path
    contract: Mapping[str, Any]
    proof: Mapping[str, Any]
    stages: Mapping[str, Exported]


def export(
    run: Path | str | Run[Any],
    to: str,
    out: Path | str,
    *,
    data: Path | str | None = None,
    snapshot: str | int | None = None,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Export a trained model into a folder that other programs predict from.

    The file holds normalisation and network, and decoding where it is arithmetic. It is then computed on validation
    images of the run (at most 100, evenly chosen), and keypoints are compared with those of the network; where one
    is more than 0.05 pixels off, nothing is left.

    Args:
        run: folder that ``pose train`` made, such a run, or the name of a published network; of a detector, boxes are
            proven in the place of keypoints.
        to: name of the exporter: ``onnx``, ``torch``, or one of a plugin; ``pose exporters`` lists them.
        out: folder; made if needed.
        data: where the labelled project is now; by default where it was at training. Where it is no longer there,
            drawn pictures take the place of its images, and a note says so.
        snapshot: which weights, as of :func:`pose_core.load`.
        settings: of the exporter, ``{"opset": 18}``.
        overwrite: replace an export that is in the folder.
        reporter: is told notes and progress.

    Raises:
        ConfigError: there is no such exporter, or it cannot write this network; the folder is not empty.
        RunError: no run folder, or its weights are missing.
        DataError: the project cannot be used.
        PluginError: the file computes something else than the network.
    """
    reporter = reporter or current_reporter()
    folder = Path(out)
    _check_folder(folder, overwrite)
    opened = choose_snapshot(run if isinstance(run, Run) else Run.open(run), snapshot)
    exporter, name = make_exporter({**(settings or {}), "type": to})
    project = None if data is None else Path(data)
    with disk_errors(folder, "export again"):
        make_folder(folder.parent)
        # Beside the folder, for a rename to be whole: what fails leaves nothing.
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            if isinstance(opened.spec, DetectorRunSpec):
                detector = opened.of(DetectorRunSpec)
                if not write_detector(detector, exporter, name, temporary, project, reporter):
                    raise ConfigError(
                        f"{opened.path}: {describe_refusal(detector)}; such a detector cannot be exported"
                    )
            else:
                _write(opened.of(RunSpec), exporter, name, temporary, project, reporter)
            temporary.chmod(0o755)
            _put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return read_export(folder)


def make_exporter(content: Mapping[str, Any]) -> tuple[Exporter, str]:
    """Make an exporter of its settings; returns it with its full name.

    Raises:
        ConfigError: there is none of that name, a setting is wrong, or a package is missing.
    """
    config = parse_component("exporter", ExporterConfig, dict(content))
    component = get_catalog().component("exporter", config.type)
    factory = component.factory()
    if (missing := find_missing_package(factory)) is not None:
        raise ConfigError(
            f"exporter {component.name}: needs {missing}, which is not installed: pip install {missing}"
        )
    made: Exporter = factory(config)
    return made, component.full_name


def read_export(folder: Path) -> Exported:
    """Read what an exported folder says of itself.

    Raises:
        DataError: it is none, or damaged.
    """
    content = []
    for name in (CONTRACT, PROOF):
        try:
            read = parse_json((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / name}: cannot be read ({error}); export the run again") from None
        if not isinstance(read, dict):
            raise DataError(f"{folder / name}: must hold a JSON object; export the run again")
        content.append(read)
    contract, proof = content
    below = sorted((folder / STAGES).iterdir()) if (folder / STAGES).is_dir() else []
    return Exported(folder, contract, proof, {path.name: read_export(path) for path in below})


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, not a folder; choose another {argument('out')}")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / CONTRACT).is_file():
        raise ConfigError(f"{folder}: holds files, and is no export; choose another {argument('out')}")
    if not overwrite:
        raise ConfigError(
            f"{folder}: holds an export; add {argument('overwrite', True)} to replace it, or choose another "
            f"{argument('out')}"
        )


def _put_in_place(temporary: Path, folder: Path) -> None:
    old = temporary.with_name(f"{temporary.name}-old")
    if folder.exists():
        folder.replace(old)
    try:
        temporary.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(
    run: Run, exporter: Exporter, exporter_name: str, folder: Path, data: Path | None, reporter: Reporter
) -> None:
    """Write the export of a run, and below it of the networks that it builds on."""
    network = ExportedNetwork(run.load_model("cpu")).eval()
    source = find_images(run, data, _IMAGES)
    if source.why:
        reporter.note(
            f"note: {run.name} is proven on drawn pictures, for its validation images are not at hand: {source.why}"
        )
    views = make_views(run, source, network.model.size_multiple)
    first = next(views, None)
    if first is None:
        raise DataError(
            f"{run.path}: no validation image shows an animal, so nothing can be proven; give other {argument('data')}"
        )
    working = f"exporting {run.name}"
    reporter.progress(working, 0.0, None)
    path = folder / f"{STEM}{exporter.suffix}"
    context = _make_context(network, run, first)
    written = write_network(exporter, context, path)
    what = f"exporter {exporter_name.rpartition('/')[2]}: {run.name}"
    height, width = first.picture.shape[:2]
    run_file = exporter.open(path)
    if not written.fixed_size and not takes_any_size(network, run_file, height, width):
        reporter.note(
            f"note: the file computes {run.name} for images of {height} x {width} only, for the steps of the network "
            "depend on the size"
        )
        written = replace(written, fixed_size=True)
    size = (height, width) if written.fixed_size else None
    # One after the other: frames of many images would fill the memory.
    proof = prove(network, run_file, chain([first], views), _thresholds(run), size, what)
    if not proof.compared:
        reporter.note(
            f"note: {run.name} finds nothing in these pictures, and neither does the file: no keypoint was compared"
        )
    if proof.left_out:
        reporter.note(
            f"note: the file takes images of one size only, and {len(proof.left_out)} of "
            f"{len(proof.left_out) + proof.views} pictures are none of them"
        )
    outputs = network(*context.example)
    outside = [
        *list_outside(network, run),
        *_write_stages(run, exporter, exporter_name, folder, data, reporter),
    ]
    contract = {
        "format": FORMAT,
        "version": VERSION,
        "exporter": exporter_name,
        "finds": "poses",
        "network": describe_network(
            network, written, context.example, outputs, hash_files(folder), path.name
        ),
        "skeleton": describe_skeleton(run.spec.finds),
        "view": describe_view(run.spec.model.decided_preprocess(), network.model.size_multiple),
        "use": describe_use(run),
        "stages": sorted(path.name for path in (folder / STAGES).glob("*")),
        "outside": outside,
        "origin": describe_origin(run),
    }
    _write_example(folder / EXAMPLE, network, first, run)
    write_json(folder / CONTRACT, contract)
    write_json(folder / PROOF, {"images": describe_source(source), **proof.to_json()})
    reporter.progress(working, 1.0, 1.0)


def _make_context(network: ExportedNetwork, run: Run, first: SeenView) -> ExporterContext:
    fixed = run.spec.model.preprocess.size is not None
    # As large as the images of the run: where the file takes one size only, it is theirs.
    height, width = first.picture.shape[:2]
    return ExporterContext(
        network=network,
        inputs=network.inputs,
        outputs=network.outputs,
        example=network.make_example(height, width),
        fixed_size=fixed,
        size_multiple=network.model.size_multiple,
        name=run.name,
    )


def _thresholds(run: Run) -> Thresholds:
    return Thresholds.of(run.spec.inference.threshold, run.spec.finds)


def _write_stages(
    run: Run, exporter: Exporter, name: str, folder: Path, data: Path | None, reporter: Reporter
) -> list[str]:
    """Export the networks that the run builds on; returns a sentence for each that cannot be."""
    said = []
    for supplier, below in run.stages.items():
        made = folder / STAGES / supplier
        made.mkdir(parents=True)
        if not isinstance(below.spec, DetectorRunSpec):
            _write(below.of(RunSpec), exporter, name, made, data, reporter)
            continue
        detector = below.of(DetectorRunSpec)
        if not write_detector(detector, exporter, name, made, data, reporter):
            made.rmdir()
            said.append(f"{describe_refusal(detector)}; give boxes to the program that predicts")
    return said


@torch.inference_mode()
def _write_example(folder: Path, network: ExportedNetwork, view: SeenView, run: Run) -> None:
    """Write an image, what the network sees of it, and what the network answers."""
    folder.mkdir()
    found = predict_itself(network, view.tensors(network))
    thresholds = _thresholds(run)
    keypoints, keypoint_scores, scores = to_animals(found, view)
    unique, unique_scores = to_unique(found, view)
    inner, inner_scores, _ = to_animals(found, _as_seen(view))
    write_png(folder / "frame.png", view.frame)
    write_png(folder / "input.png", view.picture)
    frame = {
        "file": "frame.png",
        "name": escape_text(view.name),
        "boxes": None if view.box is None else [round_values(view.box)],
        "to_frame": [[float(value) for value in row] for row in view.to_frame],
        "animals": [
            {"score": float(score), "keypoints": _join(points, values, thresholds.keypoints)}
            for points, values, score in zip(keypoints, keypoint_scores, scores, strict=True)
        ],
        "unique_keypoints": _join(unique, unique_scores, thresholds.unique),
    }
    given = {
        "file": "input.png",
        "initial_keypoints": None if len(network.inputs) == 1 else _join(view.initial[0], None, None),
        "animals": [
            {"keypoints": _join(points, values, None)}
            for points, values in zip(inner, inner_scores, strict=True)
        ],
    }
    about = (
        "frame: what prediction answers for frame.png, in its pixels, below thresholds null; input: what the file puts "
        "out for input.png, in its pixels; keypoints are [x, y, score]"
    )
    write_json(folder / "expected.json", {"about": about, "frame": frame, "input": given})


def _as_seen(view: SeenView) -> SeenView:
    """The same, in pixels of the picture."""
    return SeenView(
        view.name, view.frame, view.box, view.picture, torch.eye(3).double().numpy(), view.initial
    )


def _join(
    points: FloatArray, scores: FloatArray | None, thresholds: FloatArray | None
) -> list[list[float] | None]:
    joined: list[list[float] | None] = []
    for k, point in enumerate(points):
        score = 1.0 if scores is None else float(scores[k])
        hidden = thresholds is not None and score < thresholds[k]
        # NaN is no JSON.
        missing = hidden or not bool((point == point).all())
        joined.append(None if missing else [*round_values(point), score])
    return joined
