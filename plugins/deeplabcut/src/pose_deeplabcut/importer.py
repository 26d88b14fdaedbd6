"""Trained DeepLabCut 3 models -> what a run folder is made of.

Which families can be taken over is not decided here. Mappings are components of the kinds that this plugin
opens, ``deeplabcut/backbone``, ``deeplabcut/neck``, ``deeplabcut/head`` and ``deeplabcut/detector``, under
the name that DeepLabCut gives the part (``type`` in pytorch_config.yaml). Those of our networks are in
``networks``, a file a family; another plugin offers its own. A factory is called as ``convert(part, about)``.
A backbone with extra inputs also has a ``deeplabcut/input``, which says where they come from; see the README
of this plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from pose_core.errors import ConfigError, DataError, PluginError, RunError, argument
from pose_core.interfaces import Imported, ImportedNetwork, ImportedTraining, Importer
from pose_core.specs import AnyBackbone, AnyNeck, Feature
from pose_core.structures import ProjectSplit, Skeleton
from pose_core.symmetry import symmetry_from_names
from pose_deeplabcut.config import ModelImporterConfig
from pose_deeplabcut.mapping import Arrange, Rename, validate
from pose_deeplabcut.model_config import (
    CONDITIONAL,
    IMAGENET,
    NAME,
    ModelConfig,
    Section,
    find_model_config,
    load_model_config,
    parse_model_config,
    read_normalisation,
)
from pose_deeplabcut.project_config import ProjectConfig, looks_like_config, read_config
from pose_deeplabcut.shuffles import find_shuffle_of, read_shuffle
from pose_deeplabcut.snapshot import Snapshot, read_snapshot
from pose_deeplabcut.training_settings import make_training

UNKNOWN = "(unknown)"
"""``data.source`` of a model whose project is not known."""

_HEADS = {"bodypart": "keypoints", "unique_bodypart": "unique_keypoints"}
_LISTED = 5


@dataclass(frozen=True)
class _Part:
    """A part of the network that a plugin has taken over.

    Attributes:
        theirs, ours: prefix of its weights in the snapshot and in our network.
        config: of our component.
        rename: name of a weight without the prefix -> ours, None for one that is not used.
        arrange: from the renamed weights of the part to those that our component holds; None where they are
            the same.
    """

    theirs: str
    ours: str
    config: dict[str, Any]
    rename: Rename
    arrange: Arrange | None = None


class ModelImporter(Importer):
    """Reads snapshots and exported models of DeepLabCut 3 (PyTorch). Nothing in them is unpickled."""

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
            snapshot: ``snapshot-*.pt``, or a ``.pt`` file that ``deeplabcut.export_model`` made.
            config: ``pytorch_config.yaml`` or its folder; by default beside the snapshot, or within the
                exported model. With it, the snapshot of a detector is read by itself.
            detector: ``snapshot-detector-*.pt``; by default the one within the exported model, if any.
            data: the DeepLabCut project; by default the one in which the snapshot lies, or the one named by
                the config.

        Raises:
            RunError: see :class:`pose_core.interfaces.Importer`.
        """
        read = read_snapshot(snapshot)
        if not read.weights and (config is None or detector is not None):
            raise RunError(
                f"{snapshot}: is the snapshot of a detector; name it with {argument('detector')}, after that of the "
                f"pose, or give its {NAME} as {argument('config')} to have the detector by itself"
            )
        if read.description is not None and config is None:
            about = parse_model_config(snapshot, read.description)
        else:
            about = load_model_config(find_model_config(snapshot, config))
        notes: list[str] = []
        project = _find_project(about, snapshot, data, notes)
        skeleton = _skeleton(about, project, notes)
        general = self._general(about)
        parts = self._parts(about, general) if read.weights else []
        source = str(data or (project.path.parent if project else about.project_path or UNKNOWN))
        if source == UNKNOWN:
            notes.append(
                "the model does not say its project: evaluation and fine-tuning need "
                f"{argument('data', 'PROJECT')}"
            )
        base = {
            "skeleton": TypeAdapter(Skeleton).dump_python(skeleton, mode="json"),
            "data": {
                "source": source,
                **({"crop": project.crop, "video_crops": project.video_crops} if project else {}),
            },
            "metadata": _metadata(about, project),
        }
        split, shuffle = _find_split(about, snapshot, notes)
        found = self._detector(about, general, read, detector, base, notes)
        if not read.weights and found is not None:
            return Imported(found, {}, tuple(notes), _describe_origin(about, read, shuffle), split)
        spec: dict[str, Any] = {**base, "model": self._model(about, general, parts)}
        return Imported(
            ImportedNetwork(spec, _renamed(read.path, read.weights, parts), read.path),
            {} if found is None else {"detector": found},
            tuple(notes),
            _describe_origin(about, read, shuffle),
            split,
        )

    def read_training(self, config: Path, data: Path | None = None) -> ImportedTraining:
        """Read what a training was set to.

        Args:
            config: ``pytorch_config.yaml`` or its folder.
            data: the DeepLabCut project; by default the one in which the file lies, or the one that it names.

        Raises:
            RunError: see :class:`pose_core.interfaces.Importer`.
        """
        about = load_model_config(find_model_config(config, config))
        notes: list[str] = []
        project = _find_project(about, about.whole.path, data, notes)
        _compare_names(about, project, notes)
        sampling = about.whole.section("data").optional("gen_sampling")
        general = {**self._general(about), "sampling": {} if sampling is None else sampling.content}
        model = self._model(about, general, self._parts(about, general))
        # The name is that of a recipe, whose other settings would be taken with it.
        del model["name"]
        found = data or (project.path.parent if project else None)
        shuffle = find_shuffle_of(about.whole.path)
        content, left = make_training(
            about, model, None if found is None else str(found), None if shuffle is None else shuffle.name
        )
        return ImportedTraining(content, tuple(dict.fromkeys([*notes, *left])))

    def _model(
        self, about: ModelConfig, general: Mapping[str, Any], parts: Sequence[_Part]
    ) -> dict[str, Any]:
        """The section ``model`` of a run."""
        heads = {part.ours.split(".")[1]: part.config for part in parts if part.theirs.startswith("heads.")}
        return {
            "name": about.name,
            "method": about.method,
            "preprocess": dict(about.preprocess),
            **{part.ours.rstrip("."): part.config for part in parts if not part.theirs.startswith("heads.")},
            "inputs": self._inputs(about, general, parts[0]),
            "heads": heads,
        }

    def _general(self, about: ModelConfig) -> dict[str, Any]:
        return {
            "keypoints": about.keypoints,
            "num_keypoints": len(about.keypoints),
            "num_unique": len(about.unique_keypoints),
            "num_individuals": len(about.individuals),
            "input_size": about.input_size,
            "multi_animal": about.multi_animal,
            "as_trained": self.config.as_trained,
        }

    def _parts(self, about: ModelConfig, general: Mapping[str, Any]) -> list[_Part]:
        """The network's parts in the order of work; each is told the feature maps that reach it."""
        model = about.model
        backbone = self._part("backbone", model.section("backbone"), general, "backbone.", "backbone.")
        parts = [backbone]
        features: tuple[Feature, ...] = _features(
            model.section("backbone"), AnyBackbone, backbone.config
        ).features()
        if (section := model.optional("neck")) is not None:
            neck = self._part("neck", section, {**general, "features": features}, "neck.", "neck.")
            parts.append(neck)
            features = _features(section, AnyNeck, neck.config).features(features)
        heads = model.section("heads")
        if not heads.content:
            raise heads.error("has no heads")
        for slot in heads.content:
            name = _HEADS.get(slot, slot)
            told = {**general, "features": features, "slot": slot}
            parts.append(self._part("head", heads.section(slot), told, f"heads.{slot}.", f"heads.{name}."))
        return parts

    def _inputs(self, about: ModelConfig, general: Mapping[str, Any], backbone: _Part) -> dict[str, Any]:
        """Where the extra inputs of the backbone come from; the plugin that took it over knows."""
        section = about.model.section("backbone")
        if not _features(section, AnyBackbone, backbone.config).extra_inputs():
            return {}
        return dict(self._asked("input", section, general))

    def _part(self, kind: str, part: Section, about: Mapping[str, Any], theirs: str, ours: str) -> _Part:
        """Ask the plugin that maps parts of this type."""
        config, rename, *arrange = self._asked(kind, part, about)
        return _Part(theirs, ours, config, rename, *arrange)

    def _asked(self, kind: str, part: Section, about: Mapping[str, Any]) -> Any:
        """What the plugin answers that offers a kind for parts of this type.

        It is told, beside ``about``, how to have a part within this one mapped (``part``).
        """
        name = part.text("type")
        try:
            convert = self.mapping(f"deeplabcut/{kind}", name)
        except ConfigError as error:
            raise part.error(
                f"is a {name}, which no installed plugin takes over ({error}); install a plugin that offers "
                f"deeplabcut/{kind} {name}"
            ) from None
        except PluginError as error:
            raise part.error(f"is a {name}, which cannot be taken over: {error}") from error

        def within(kind: str, key: str) -> tuple[dict[str, Any], Rename, Arrange | None]:
            found = self._part(kind, part.section(key), about, "", "")
            return found.config, found.rename, found.arrange

        try:
            return convert(part.content, {**about, "part": within})
        except ValueError as error:
            raise part.error(str(error)) from None
        except KeyError as error:
            raise part.error(f"is not as DeepLabCut 3.0.2 writes it (it lacks {error})") from error
        except (TypeError, IndexError, AttributeError) as error:
            raise part.error(f"is not as DeepLabCut 3.0.2 writes it ({error})") from error

    def _detector(
        self,
        about: ModelConfig,
        general: Mapping[str, Any],
        read: Snapshot,
        path: Path | None,
        base: Mapping[str, Any],
        notes: list[str],
    ) -> ImportedNetwork | None:
        if path is not None and about.method != "top_down":
            why = "starts from rough poses" if about.method == CONDITIONAL else "looks at whole frames"
            raise RunError(
                f"{path}: {about.net_type} {why} and has no detector; leave out {argument('detector')}"
            )
        source, weights = read.path, read.detector
        if path is not None:
            given = read_snapshot(path)
            source, weights = path, given.detector
            if weights is None:
                raise RunError(
                    f"{path}: is not the snapshot of a detector; those are called snapshot-detector-*.pt"
                )
        if weights is None:
            if about.method == CONDITIONAL:
                notes.append(
                    "conditions: rough poses must come from elsewhere, from the run of a bottom-up model or "
                    "a file"
                )
                if not about.context:
                    notes.append(
                        "trained on crops that are black beside the box of the pose; here they show what is "
                        "there"
                    )
            if about.method == "top_down":
                notes.append(
                    f"no detector: boxes must come from elsewhere, or import one with "
                    f"{argument('detector', 'SNAPSHOT')}"
                )
            return None
        section = about.whole.section("detector")
        if read_normalisation(section.section("data")) != IMAGENET:
            raise section.error(
                "must be true; other detectors cannot be taken over", "data.inference.normalize_images"
            )
        network = section.section("model")
        part = self._part("detector", network, general, "", "")
        # It was trained on boxes with a margin, which ours have not.
        spec = {**base, "network": {"excess": about.detector_margin, **part.config}, "min_box": 0.0}
        return ImportedNetwork(spec, _renamed(source, weights, [part]), source)


def _describe_origin(about: ModelConfig, read: Snapshot, shuffle: str | None) -> dict[str, Any]:
    return {
        "tool": "DeepLabCut",
        "net_type": about.net_type,
        "snapshot": str(read.path.absolute()),
        "sha256": read.sha256(),
        "config": str(about.whole.path.absolute()),
        **({"shuffle": shuffle} if shuffle else {}),
        **read.notes,
    }


def _features(part: Section, kind: Any, config: Mapping[str, Any]) -> Any:
    """Make our config of a part, which knows its feature maps."""
    try:
        return validate(kind, config)
    except ValueError as error:
        raise part.error(str(error)) from None


def _renamed(path: Path, weights: Mapping[str, Tensor], parts: list[_Part]) -> dict[str, Tensor]:
    """The weights under our names.

    Raises:
        RunError: some have no place in our network; those that are missing are found when it is built.
    """
    found: list[dict[str, Tensor]] = [{} for _ in parts]
    left: list[str] = []
    for name, tensor in weights.items():
        at = next((i for i, p in enumerate(parts) if name.startswith(p.theirs)), None)
        if at is None:
            left.append(name)
            continue
        try:
            ours = parts[at].rename(name.removeprefix(parts[at].theirs))
        except KeyError:
            left.append(name)
            continue
        if ours is None:
            continue
        if ours in found[at]:
            left.append(name)
        else:
            found[at][ours] = tensor
    if left:
        more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
        raise RunError(
            f"{path}: {len(left)} of its {len(weights)} weights have no place in the network that the "
            "configuration "
            f"describes: {', '.join(left[:_LISTED])}{more}; is it the configuration of this snapshot?"
        )
    result: dict[str, Tensor] = {}
    for part, renamed in zip(parts, found, strict=True):
        try:
            arranged = part.arrange(renamed) if part.arrange is not None else renamed
        except KeyError as error:
            raise RunError(
                f"{path}: has no weights {part.ours}{error.args[0]}, which the configuration asks for"
            ) from None
        result |= {part.ours + name: tensor for name, tensor in arranged.items()}
    return result


def _find_project(
    about: ModelConfig, snapshot: Path, data: Path | None, notes: list[str]
) -> ProjectConfig | None:
    """The DeepLabCut project: the given one, else that in which the files lie, else the one that the model
    names."""
    if data is not None:
        if not data.exists():
            raise RunError(
                f"{data}: no such file or folder; {argument('data')} must name the labelled project of the "
                "model"
            )
        file = data / "config.yaml" if data.is_dir() else data
        return _read_project(file, notes) if looks_like_config(file) else None
    if about.zoo is not None:
        # It was trained on no project that anybody has; that around the file is the user's own.
        return None
    folders = [*about.whole.path.absolute().parents, *snapshot.absolute().parents]
    folders += [about.project_path] if about.project_path is not None else []
    for folder in folders:
        if looks_like_config(folder / "config.yaml"):
            return _read_project(folder / "config.yaml", notes)
    return None


def _find_split(
    about: ModelConfig, snapshot: Path, notes: list[str]
) -> tuple[ProjectSplit | None, str | None]:
    """The images that the shuffle of the model trained on and held out, and the name of the shuffle."""
    shuffle = find_shuffle_of(snapshot) or find_shuffle_of(about.whole.path)
    if shuffle is None:
        return None, None
    try:
        split = read_shuffle(shuffle)
    except DataError as error:
        notes.append(f"the split of shuffle {shuffle.name} is not used: {error}")
        return None, shuffle.name
    notes.append(
        f"split of shuffle {shuffle.name}: trained on {len(split.train)} images, {len(split.test)} held out"
    )
    if "best" in snapshot.name and split.test:
        notes.append("DeepLabCut chose this snapshot by the test images: new ones may have larger errors")
    return split, shuffle.name


def _read_project(file: Path, notes: list[str]) -> ProjectConfig | None:
    try:
        return read_config(file)
    except DataError as error:
        notes.append(f"the project is not used: {error}")
        return None


def _compare_names(about: ModelConfig, project: ProjectConfig | None, notes: list[str]) -> None:
    """Say which names of the settings are not those of the project, which count in a training."""
    given: dict[str, object] = {
        "bodyparts": about.keypoints,
        "unique_bodyparts": about.unique_keypoints,
        "individuals": about.individuals,
        "with_identity": about.identified,
    }
    counts: dict[str, object] = {}
    if project is not None:
        skeleton = project.skeleton
        # DeepLabCut names the animal of a project of one by itself.
        individuals = skeleton.individuals if project.multi else about.individuals
        names = skeleton.keypoints, skeleton.unique_keypoints, individuals, skeleton.identified
        counts = dict(zip(given, names, strict=True))
    for key, value in given.items():
        if project is None and value:
            notes.append(f"metadata.{key}: {_list_names(value)}; those of the data that is trained on count")
        elif project is not None and value != counts[key]:
            notes.append(
                f"metadata.{key}: {_list_names(value)}; the project has {_list_names(counts[key])}, and counts"
            )


def _list_names(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value).lower()


def _skeleton(about: ModelConfig, project: ProjectConfig | None, notes: list[str]) -> Skeleton:
    """Names from the model; limbs, and what a lone animal is called, from the project."""
    known = set(about.keypoints)
    edges = tuple(e for e in project.skeleton.edges if set(e) <= known) if project else about.zoo_edges
    if project is not None and project.skeleton.keypoints != about.keypoints:
        notes.append(
            f"{project.path} now has other body parts than the model was trained on; the model keeps its "
            "own: "
            f"{', '.join(about.keypoints)}"
        )
    symmetry = symmetry_from_names(about.keypoints)
    if symmetry:
        pairs = ", ".join(f"{left}/{right}" for left, right in symmetry)
        notes.append(f"left/right pairs, told from the names: {pairs}")
    individuals = about.individuals
    # In a project of several animals that has one, it keeps its name.
    if not about.multi_animal and not (project and project.multi):
        individuals = project.skeleton.individuals if project else ("animal",)
    try:
        return Skeleton(
            keypoints=about.keypoints,
            edges=edges,
            symmetry=symmetry,
            individuals=individuals,
            identified=about.identified,
            unique_keypoints=about.unique_keypoints,
        )
    except ValueError as error:
        raise about.whole.error(str(error), "metadata") from None


def _metadata(about: ModelConfig, project: ProjectConfig | None) -> dict[str, str]:
    """As :class:`pose_deeplabcut.project.ProjectReader` notes it."""
    if project is None:
        return {"deeplabcut.multianimal": str(about.multi_animal).lower()}
    return {
        "deeplabcut.task": project.task,
        "deeplabcut.date": project.date,
        "deeplabcut.scorer": project.scorer,
        "deeplabcut.multianimal": str(project.multi).lower(),
    }
