"""What a training starts from: the meaning of ``train.weights``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pose_core.catalog import Weights, get_catalog
from pose_core.errors import ConfigError, WeightsError
from pose_core.interfaces import Backbone
from pose_core.interfaces.hub import listed, misfits, read_tensors
from pose_core.io.files import is_file
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.model.pretrained import fetch
from pose_core.model.transfer import merge_aliases, network_of, transfer
from pose_core.model.weights import file_hash
from pose_core.runs.run_folder import CONFIG, WEIGHTS, DetectorRun, Run, is_detector_run
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton

NONE = "none"
"""``train.weights`` of a network that starts from random weights altogether."""

_PATHS = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Start:
    """Where the weights came from.

    Attributes:
        lines: for the user.
        provenance: what is worth keeping about it, plain values.
    """

    lines: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Found:
    """Weights that were found.

    Attributes:
        state: by name.
        path: of their file.
        origin: what messages call them.
        part: what they are for: ``model``, ``backbone``, ``detector``; empty where their names must tell.
        skeleton: what they were trained on; None where that is unknown.
        spec: of the network that they were trained in; None where that is unknown.
        provenance: of them.
    """

    state: dict[str, Tensor]
    path: Path
    origin: str
    part: str = ""
    skeleton: Skeleton | None = None
    spec: ModelSpec | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def run_of(weights: str | None) -> Path | None:
    """The run folder of a pose network that ``train.weights`` names; None where it means something else."""
    if weights is None or weights == NONE:
        return None
    folder = Path(weights).expanduser()
    if folder.name == WEIGHTS:
        folder = folder.parent
    return folder if is_file(folder / CONFIG) and not is_detector_run(folder) else None


def start_from(
    model: PoseModel | DetectorModel,
    weights: str | None,
    *,
    metadata: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> Start:
    """Put the weights that ``train.weights`` names into a freshly built network.

    Nothing is done for null (the parts of the network fetched what they ask for when it was built) and for ``none``.
    Else it is the name of pretrained weights, a run folder, or a file of a whole network or of a backbone, which is
    told from the names of its tensors. Weights of a whole network that was trained on other keypoints are taken over by
    the names of the keypoints, see :func:`pose_core.model.transfer.transfer`.

    Args:
        model: gets them.
        weights: as in ``train.weights``.
        metadata: of the labelled project, which may hold a table of aliases.
        aliases: ``train.aliases``.

    Raises:
        ConfigError: no such name, or it is a name and a path at once.
        DownloadError: they cannot be downloaded.
        WeightsError: a file is damaged or does not fit.
        RunError: a run folder cannot be used.
    """
    if weights is None or weights == NONE:
        if aliases:
            raise ConfigError("train.aliases: names keypoints of weights, but train.weights names none")
        return Start()
    found = _find(weights, isinstance(model, DetectorModel))
    if isinstance(model, DetectorModel):
        if aliases:
            raise ConfigError("train.aliases: the weights of a detector have no keypoints; leave it out")
        lines = _load_matching(model, {"detector": model.network}, found)
    else:
        lines = _into_pose_model(model, found, metadata or {}, aliases or {})
    digest = file_hash(found.path)
    about = {"weights": weights, "path": str(found.path.resolve()), "sha256": digest, **found.provenance}
    return Start((f"starting from {found.origin}", *(f"  {line}" for line in lines)), about)


def _find(weights: str, detector: bool) -> _Found:
    path = Path(weights).expanduser()
    names = {name for w in get_catalog().weights() for name in (w.name, w.full_name)}
    full = weights in names and "/" in weights  # a full name means the weights, whatever folders there are
    if weights in names and not full and path.exists():
        raise ConfigError(
            f"train.weights: {weights!r} is the name of pretrained weights and a path; write ./{weights} for the path, "
            f"or the full name {get_catalog().named_weights(weights).full_name} for the weights"
        )
    if path.is_dir() and not full:
        return _run(path, detector)
    if is_file(path) and not full:
        return _file(path, detector)
    if weights not in names and (path.suffix in _PATHS or weights.startswith((".", "/", "~"))):
        raise ConfigError(f"train.weights: {weights}: no such file or run folder")
    try:
        named = get_catalog().named_weights(weights)
    except ConfigError as error:
        raise ConfigError(f"train.weights: {error} (and there is no such file or run folder)") from None
    _check_part(named.part, f"the weights {named.full_name}", detector)
    return _named(named)


def _check_part(part: str, origin: str, detector: bool) -> None:
    """Before anything is downloaded."""
    if part == "detector" and not detector:
        raise ConfigError(f"train.weights: {origin}: made for a detector; write it as detector.train.weights")
    if part != "detector" and detector:
        raise ConfigError(f"train.weights: {origin}: made for a pose network, not for a detector")


def _named(weights: Weights) -> _Found:
    spec = weights.definition
    path = fetch(spec)
    tensors = read_tensors(path).tensors
    convert = weights.converter()
    state = tensors if convert is None else dict(convert(tensors))
    return _Found(
        state,
        path,
        f"the weights {weights.full_name}",
        weights.part,
        Skeleton(spec.keypoints) if spec.keypoints else None,
        provenance={"name": weights.full_name, "url": spec.url, "license": spec.license, "source": spec.source},
    )


def _run(folder: Path, wants_detector: bool) -> _Found:
    is_detector = is_detector_run(folder)
    _check_part("detector" if is_detector else "model", f"the run {folder}", wants_detector)
    if is_detector:
        detector = DetectorRun.open(folder)
        return _Found(detector.read_weights(), folder / WEIGHTS, f"the run {folder}", "detector")
    run = Run.open(folder)
    return _Found(run.read_weights(), folder / WEIGHTS, f"the run {folder}", "model", run.spec.skeleton, run.spec.model)


def _file(path: Path, detector: bool) -> _Found:
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return _run(path.parent, detector)
    content = read_tensors(path)
    if (content.wrapper == "model" and content.others) or not content.tensors:
        importers = ", ".join(c.name for c in get_catalog().components("importer")) or "none is installed"
        held = ", ".join([*([content.wrapper] if content.wrapper else []), *content.others][:5])
        raise WeightsError(
            f"{path}: is a snapshot of another tool (it holds {held}), not tensors by name; 'pose import TOOL {path} "
            f"--out RUN' makes a run of it, which --weights takes (importers: {importers})"
        )
    return _Found(content.tensors, path, f"the file {path}")


def _into_pose_model(
    model: PoseModel, found: _Found, metadata: Mapping[str, str], aliases: Mapping[str, str]
) -> tuple[str, ...]:
    part, state = found.part, found.state
    if not part:
        part, state = _told_by_names({"model": model, "backbone": _innermost(model.backbone)}, found)
    if part == "backbone":
        if aliases:
            raise ConfigError(f"train.aliases: {found.origin} are of a backbone and have no keypoints; leave it out")
        return _load_backbone(_innermost(model.backbone), state, found.origin)
    names = merge_aliases(metadata, aliases, model.skeleton, found.skeleton)
    if found.skeleton is not None:
        try:
            source = network_of(found.spec or model.spec, found.skeleton)
        except ConfigError as error:
            raise ConfigError(f"{found.origin}: its keypoints do not suit the model ({error})") from None
        return transfer(model, state, source, names, found.origin).lines
    _load_exactly(model, state, f"{found.origin} (it names no keypoints; a run folder does)")
    return (f"all {model.skeleton.num_keypoints} keypoints in the order of the file, which does not name them",)


def _innermost(backbone: nn.Module) -> nn.Module:
    """The backbone within a wrapper (see :class:`pose_core.hooks.ModelRecipe`), or the backbone itself."""
    while isinstance(within := getattr(backbone, "backbone", None), Backbone):
        backbone = within
    return backbone


def _load_matching(model: nn.Module, parts: Mapping[str, nn.Module], found: _Found) -> tuple[str, ...]:
    part, state = _told_by_names({"model": model, **parts}, found)
    _load_exactly(parts.get(part, model), state, found.origin)
    return ()


def _told_by_names(parts: Mapping[str, nn.Module], found: _Found) -> tuple[str, dict[str, Tensor]]:
    """Which part's weights these are, and they under the names of that part.

    Names may have the part's name in front (a backbone cut out of a whole network), or lack a first component that all
    of the part's own share (a network that the part wraps).
    """
    best: tuple[float, str, dict[str, Tensor]] = (0.0, "", {})
    for part, module in parts.items():
        own = set(module.state_dict())
        shared = {name.partition(".")[0] for name in own}
        readings = [found.state]
        if part != "model" and all(name.startswith(f"{part}.") for name in found.state):
            readings.append({n.removeprefix(f"{part}."): t for n, t in found.state.items()})
        if part != "model" and len(shared) == 1:
            first = next(iter(shared))
            readings.append({f"{first}.{n}": t for n, t in found.state.items()})
        for state in readings:
            share = len(own & set(state)) / max(len(own), 1)
            if share > best[0]:
                best = (share, part, state)
    if not best[1]:
        have = "; ".join(f"the {part} has {_examples(module.state_dict())}" for part, module in parts.items())
        raise WeightsError(
            f"{found.origin}: fits neither the {' nor the '.join(parts)}: it holds {_examples(found.state)}; {have}"
        )
    return best[1], best[2]


def _examples(state: Mapping[str, Tensor]) -> str:
    names = list(state)
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _load_backbone(backbone: nn.Module, state: Mapping[str, Tensor], origin: str) -> tuple[str, ...]:
    """Load a backbone; a file may hold more of the network than the backbone uses (a classifier, later stages)."""
    own = backbone.state_dict()
    beyond = [name for name in state if name not in own]
    taken = {name: tensor for name, tensor in state.items() if name in own}
    if problems := misfits(own, taken):
        raise WeightsError(f"{origin}: does not fit the backbone: {listed(problems)}")
    backbone.load_state_dict(taken)
    lines = [f"backbone: {len(taken)} tensors; the rest of the network is new"]
    return (*lines, *([f"not used: {', '.join(beyond[:5])}{' ...' * (len(beyond) > 5)}"] if beyond else []))


def _load_exactly(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    if problems := misfits(module.state_dict(), state):
        raise WeightsError(f"{origin}: does not fit: {listed(problems)}")
    module.load_state_dict(dict(state))
