"""Load the weights that ``train.weights`` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pose_core.catalog import Weights, ZooEntry, get_catalog
from pose_core.errors import ConfigError, WeightsError, argument, command
from pose_core.interfaces.hub import read_tensors
from pose_core.io.files import is_file
from pose_core.model.network import FoundWeights, Network
from pose_core.model.pretrained import fetch
from pose_core.model.weights import file_hash
from pose_core.runs.learned_images import EARLIER, list_learned
from pose_core.runs.run_folder import CONFIG, WEIGHTS, Run
from pose_core.runs.zoo import find_run, read_origin
from pose_core.specs.run import LEARNS, RunSpec
from pose_core.structures import Skeleton

NONE = "none"
"""``train.weights`` of a network that starts from random weights altogether."""

_PATHS = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Start:
    """Origin of the weights that a training starts from.

    Attributes:
        lines: for the user.
        provenance: what is worth keeping about it, plain values.
    """

    lines: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)


def run_of(weights: str | None) -> Path | None:
    """Give the run folder that ``train.weights`` names, if it names one: a folder, or a published network."""
    if weights is None or weights == NONE:
        return None
    folder = Path(weights).expanduser()
    if not folder.exists() and (found := find_run(weights)) is not None:
        return found
    # The file of weights in a run folder means the run, which says more about them.
    if folder.name == WEIGHTS:
        folder = folder.parent
    return folder if is_file(folder / CONFIG) else None


def start_from(
    network: Network,
    weights: str | None,
    *,
    metadata: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> Start:
    """Put the weights that ``train.weights`` names into a freshly built network.

    Nothing is done for null (the parts of the network fetched what they ask for when it was built) and for
    ``none``. Else it is the name of pretrained weights, a run folder, or a file of a whole network or of a
    backbone, which is told from the names of its tensors. Weights of a whole network that was trained on
    other keypoints are taken over by the names of the keypoints, see
    :func:`pose_core.model.transfer.transfer`.

    Args:
        network: gets them.
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
    found = _find(weights, network.trains)
    lines = network.take_over(found, metadata or {}, aliases or {})
    digest = file_hash(found.path)
    about = {"weights": weights, "path": str(found.path.resolve()), "sha256": digest, **found.provenance}
    return Start((f"starting from {found.origin}", *(f"  {line}" for line in lines)), about)


def check_weights(weights: str, key: str) -> None:
    """Refuse weights that there are not, or that mean two things; nothing is read or downloaded.

    Args:
        weights: as in ``train.weights``.
        key: what messages call it.

    Raises:
        ConfigError: no such name and no such path, or it is a name and a path at once.
    """
    if weights != NONE:
        _locate(weights, key)


def _locate(weights: str, key: str) -> Path | Weights | ZooEntry:
    """The path, the named weights or the published network that a text means."""
    path = Path(weights).expanduser()
    names = {name for w in get_catalog().weights() for name in (w.name, w.full_name)}
    # A full name (plugin/weights) means the weights, even where there is a folder of that path.
    full = weights in names and "/" in weights
    if weights in names and not full and path.exists():
        raise ConfigError(
            f"{key}: {weights!r} is the name of pretrained weights and a path; write ./{weights} for "
            f"the path, or the full name {get_catalog().named_weights(weights).full_name} for the weights"
        )
    if (path.is_dir() or is_file(path)) and not full:
        return path
    if weights not in names and (published := get_catalog().zoo_network(weights)) is not None:
        return published
    if weights not in names and (path.suffix in _PATHS or weights.startswith((".", "/", "~"))):
        raise ConfigError(f"{key}: {weights}: no such file or run folder")
    try:
        return get_catalog().named_weights(weights)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error} (and there is no such file or run folder)") from None


def _find(weights: str, trains: str) -> FoundWeights:
    named = _locate(weights, "train.weights")
    if isinstance(named, Path):
        return _run(named, trains) if named.is_dir() else _file(named, trains)
    if isinstance(named, ZooEntry):
        _check_task(named.definition.trains, trains, f"the network {named.full_name}")
        folder = find_run(weights)
        assert folder is not None
        return _run(folder, trains, f"the network {named.name}")
    # Before anything is downloaded.
    _check_task("boxes" if named.part == "detector" else "poses", trains, f"the weights {named.full_name}")
    return _named(named)


def _check_task(theirs: str, own: str, origin: str) -> None:
    if theirs != own:
        raise ConfigError(
            f"train.weights: {origin}: made for {LEARNS[theirs]}, not for {LEARNS[own]} (the networks that a "
            "model builds on have stages.NAME.train.weights)"
        )


def _named(weights: Weights) -> FoundWeights:
    spec = weights.definition
    path = fetch(spec)
    tensors = read_tensors(path, spec.inert).tensors
    convert = weights.converter()
    state = tensors if convert is None else dict(convert(tensors))
    return FoundWeights(
        state,
        path,
        f"the weights {weights.full_name}",
        weights.part,
        Skeleton(spec.keypoints) if spec.keypoints else None,
        provenance={
            "name": weights.full_name,
            "url": spec.url,
            "license": spec.license,
            "source": spec.source,
        },
    )


def _run(folder: Path, trains: str, origin: str = "") -> FoundWeights:
    run = Run.open(folder)
    origin = origin or f"the run {folder}"
    _check_task(run.spec.trains, trains, origin)
    model = run.spec.model if isinstance(run.spec, RunSpec) else None
    return FoundWeights(
        run.read_weights(),
        folder / WEIGHTS,
        origin,
        "model",
        run.spec.finds,
        model,
        # The licence of a published network holds for what is trained from it, too.
        {EARLIER: list_learned(run), **(read_origin(run) or {})},
    )


def _file(path: Path, trains: str) -> FoundWeights:
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return _run(path.parent, trains)
    content = read_tensors(path)
    # Tensors with more beside them under "model" are how other tools save a training, not bare weights.
    if (content.wrapper == "model" and content.others) or not content.tensors:
        importers = ", ".join(c.name for c in get_catalog().components("importer")) or "none is installed"
        held = ", ".join([*([content.wrapper] if content.wrapper else []), *content.others][:5])
        raise WeightsError(
            f"{path}: is a snapshot of another tool (it holds {held}), not tensors by name; "
            f"{command('import', 'TOOL', str(path), argument('out', 'RUN'))} "
            f"makes a run of it, which {argument('weights')} takes (importers: {importers})"
        )
    return FoundWeights(content.tensors, path, f"the file {path}")
