"""Trained models of SLEAP -> what a run folder is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from torch import Tensor

from pose_core.errors import DataError, RunError, argument, setting
from pose_core.interfaces import Imported, ImportedNetwork, ImportedTraining, Importer
from pose_core.io.files import is_file
from pose_core.structures import LabelledDataset, Skeleton
from pose_sleap.checkpoint import CHECKPOINT, read_checkpoint
from pose_sleap.config import ModelImporterConfig, SlpReaderConfig
from pose_sleap.imported_network import find_edges, make_network, shifts_crops
from pose_sleap.keras_config import CONFIG as KERAS_CONFIG
from pose_sleap.keras_model import WEIGHTS as KERAS_WEIGHTS
from pose_sleap.keras_model import is_keras_model, read_keras_model
from pose_sleap.model_config import CONFIGS, ModelConfig, Section, describe_model, find_config, load_config
from pose_sleap.slp_reader import SlpReader
from pose_sleap.slp_skeleton import SlpSkeleton
from pose_sleap.training_settings import make_training

UNKNOWN = "(unknown)"
"""``data.source`` of a model whose project is not known."""


@dataclass(frozen=True, eq=False)
class _Model:
    """A model folder: configuration and weights."""

    folder: Path
    config: ModelConfig
    weights: Mapping[str, Tensor]
    source: Path

    @property
    def name(self) -> str:
        return self.config.model_type


class ModelImporter(Importer):
    """Reads model folders of SLEAP-NN, and of SLEAP up to 1.4 (Keras). Nothing in them is unpickled."""

    config: ModelImporterConfig

    def read(
        self,
        snapshot: Path,
        config: Path | None = None,
        detector: Path | None = None,
        data: Path | None = None,
    ) -> Imported:
        """Read a trained model.

        Args:
            snapshot: the folder of the model, or a file in it.
            config: ``training_config.yaml``; by default that in the folder.
            detector: the folder of the centroid model of a top-down model. The two may change places.
            data: the labelled project (.slp); by default none.

        Raises:
            RunError: see :class:`pose_core.interfaces.Importer`.
        """
        model = _read_model(snapshot, config)
        centroid = None if detector is None else _read_model(detector)
        if centroid is not None:
            model, centroid = _sort(model, centroid)
        notes: list[str] = []
        dataset = None if data is None else _read_data(data)
        skeleton = _make_skeleton(model, centroid, dataset, notes)
        source = UNKNOWN if data is None else str(data)
        if data is None:
            notes.append(
                "the labelled project is not known: evaluation and training on need "
                f"{argument('data', 'LABELS.slp')}"
            )
        base = {
            "skeleton": TypeAdapter(Skeleton).dump_python(skeleton, mode="json"),
            "data": {"source": source},
            "metadata": {} if dataset is None else dict(dataset.metadata),
        }
        as_trained = self.config.as_trained
        models = {name: each for name, each in (("", model), ("centroid", centroid)) if each is not None}
        networks: dict[str, ImportedNetwork] = {}
        for name, each in models.items():
            networks[name] = make_network(each.config, each.weights, base, skeleton, each.source, as_trained)
            notes += describe(each.config, as_trained)
        if model.config.sees_crops and centroid is None:
            notes.append(
                "finds the animal of a crop; its centroid model can be imported with it: "
                f"{argument('detector', 'FOLDER')}"
            )
        return Imported(
            networks.pop(""),
            networks,
            tuple(dict.fromkeys(notes)),
            {
                "tool": "SLEAP",
                "models": {
                    each.name: {
                        "weights": str(each.source.absolute()),
                        "sha256": _checksum(each.source),
                        "config": str(each.config.whole.path.absolute()),
                        "sleap_nn_version": _plain(each.config.whole.content.get("sleap_nn_version")),
                    }
                    for each in models.values()
                },
            },
            image_sizes=find_sizes(model.config),
        )

    def read_training(self, config: Path, data: Path | None = None) -> ImportedTraining:
        """Read a training configuration of SLEAP-NN: a file, or the folder that holds it.

        Args:
            config: ``training_config.yaml`` or another name.
            data: the labelled project (.slp); by default the one that the file names.

        Raises:
            RunError: see :class:`pose_core.interfaces.Importer`.
        """
        file = find_config(config) if config.is_dir() else config
        described = describe_model(load_config(file))
        notes: list[str] = []
        dataset = None if data is None else _read_data(data)
        # Only names and pairs are asked of it, and no weights of a configuration alone.
        skeleton = _make_skeleton(_Model(file.parent, described, {}, file), None, dataset, notes)
        content, left = make_training(described, skeleton, data)
        return ImportedTraining(content, tuple(dict.fromkeys([*described.notes, *left])))


def _plain(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_model(place: Path, config: Path | None = None) -> _Model:
    """Read a model folder; a file in it stands for it."""
    if not place.exists():
        raise RunError(f"{place}: no such file or folder; name the folder of a model of SLEAP")
    folder = place if place.is_dir() else place.parent
    if config is None and is_keras_model(folder) and not any(is_file(folder / name) for name in CONFIGS):
        content, weights = read_keras_model(folder)
        described = describe_model(Section(folder / KERAS_CONFIG, "", content))
        return _Model(folder, described, weights, folder / KERAS_WEIGHTS)
    file = config if config is not None and config.is_file() else find_config(config or folder)
    described = describe_model(load_config(file))
    # Another file than the configuration is taken for the weights.
    source = place if place.is_file() and place.name not in CONFIGS else folder / CHECKPOINT
    return _Model(folder, described, read_checkpoint(source), source)


def _sort(first: _Model, second: _Model) -> tuple[_Model, _Model]:
    """The pose model and its centroid model, in whichever order they were named."""
    if first.name == second.name:
        raise RunError(
            f"{first.folder} and {second.folder}: are both of type {first.name}; name a model of crops and its "
            "centroid model"
        )
    crops, centres = (first, second) if second.config.finds_centres else (second, first)
    if not centres.config.finds_centres:
        raise RunError(
            f"{second.folder}: is of type {second.name}, no centroid model; leave out {argument('detector')}"
        )
    if not crops.config.sees_crops:
        raise RunError(
            f"{crops.folder}: is of type {crops.name}, which looks at whole frames and needs no centroid model; "
            f"leave out {argument('detector')}"
        )
    return crops, centres


def _read_data(path: Path) -> LabelledDataset:
    if not is_file(path):
        raise RunError(f"{path}: no such file; {argument('data')} must name the labelled project (.slp)")
    try:
        return SlpReader(SlpReaderConfig(type="sleap/sleap")).read(path)
    except DataError as error:
        raise RunError(str(error)) from None


def _make_skeleton(
    model: _Model, centroid: _Model | None, dataset: LabelledDataset | None, notes: list[str]
) -> Skeleton:
    """Keypoints in the order of the head; limbs and pairs of the file or the project; individuals."""
    config = model.config
    told = next(
        (each.config.skeleton for each in (model, centroid) if each is not None and each.config.skeleton),
        None,
    )
    project = None if dataset is None else dataset.skeleton
    names = config.heads["confmaps"].get("part_names")
    keypoints = tuple(
        names or (told.nodes if told is not None else ()) or (project.keypoints if project else ())
    )
    if not keypoints:
        raise config.whole.error(
            f"names no skeleton; give the project as {argument('data', 'LABELS.slp')}",
            "data_config.skeletons",
        )
    if project is not None and set(project.keypoints) != set(keypoints):
        raise RunError(
            f"{dataset.root if dataset else ''}: has the nodes {', '.join(project.keypoints)}, and {model.folder} was "
            f"trained on {', '.join(keypoints)}; give the project of this model"
        )
    if project is not None and project.keypoints != keypoints:
        notes.append(
            f"the model has its keypoints in another order than the project, and keeps it: {', '.join(keypoints)}; "
            "evaluation needs a project with the same order"
        )
    edges = find_edges(config) if "pafs" in config.heads else told.edges if told else ()
    if unknown := sorted({name for edge in edges for name in edge} - set(keypoints)):
        raise config.whole.error(
            f"names {', '.join(unknown)}, and the heads know {', '.join(keypoints)}", "data_config.skeletons"
        )
    pairs, sides = SlpSkeleton("", keypoints, (), told.pairs if told else ()).order_pairs()
    notes += sides
    individuals = config.classes or (project.individuals if project else ("animal",))
    if config.model_type == "single_instance":
        individuals = individuals[:1]
    try:
        return Skeleton(
            keypoints,
            tuple(dict.fromkeys(edges)),
            tuple(pair for pair in pairs if set(pair) <= set(keypoints)),
            individuals,
            bool(config.classes) or bool(project and project.identified and len(individuals) > 1),
        )
    except ValueError as error:
        raise config.whole.error(str(error), "data_config.skeletons") from None


def find_sizes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """Find (width, height) of the largest video of the training; none where the file does not say it."""
    width, height = (config.preprocessing[f"max_{side}"] for side in ("width", "height"))
    return ((int(width), int(height)),) if width and height else ()


def describe(config: ModelConfig, as_trained: bool) -> list[str]:
    """Say what is different here, a line each."""
    notes = list(config.notes)
    for width, height in find_sizes(config):
        notes.append(
            f"trained on frames of {width} x {height} pixels at most; SLEAP resizes other videos to that, and here "
            f"frames are taken as they are: set model.preprocess.scale for a video whose animals are of another size"
        )
    if shifts_crops(config):
        size = f"about a pixel at crops of {config.preprocessing['crop_size']:g}"
        notes.append(
            f"trained on crops that lay beside their labels ({size}), which SLEAP-NN does since 0.1; keypoints are "
            + (
                "left as they come out"
                if as_trained
                else f"moved back ({setting('as_trained=true')} leaves them)"
            )
        )
    if config.classes:
        notes.append(f"individuals, in the order of the maps: {', '.join(config.classes)}")
        if (
            config.model_type == "multi_class_bottomup"
            and len(config.classes) > 2
            and not config.network.keras
        ):
            notes.append(
                "its identities were taught wrongly: SLEAP-NN up to 0.3.5 mixes them up in frames with several of "
                "three and more animals"
            )
    if config.heads["confmaps"]["centroid_method"] == "geometric_median":
        notes.append("centres are the mean of the keypoints here, not their geometric median")
    notes.append(
        "missing keypoints were taught as absent, and still are when it is trained on (missing: absent)"
    )
    return notes
