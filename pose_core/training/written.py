"""What a user wrote of a configuration: a file, assignments and options, each with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pose_core.catalog.merge import merge
from pose_core.data.project_splits import AUTO
from pose_core.errors import ConfigError, argument
from pose_core.escapes import escape_name
from pose_core.io.names import find_escaped
from pose_core.specs import ReaderConfig, parse_component
from pose_core.specs.resolve import Layer, parse_assignments, read_layer, read_section
from pose_core.specs.validation_errors import Loc, OptionName
from pose_core.structures import LabelledDataset, Skeleton
from pose_core.training.options import TrainOptions

Content = dict[str, Any]

_FACTS = ("keypoints", "individuals", "identified", "unique_keypoints")
"""Parts of a skeleton that only the labels can say; limbs and left/right pairs may be written in a file."""


@dataclass(frozen=True)
class Written:
    """The user's configuration: a file, assignments, and options with a name of their own.

    Attributes:
        layers: in this order; the last wins.
        options: those with a name of their own, whose layer is the last.
        from_file: whether the first layer is a file.
    """

    layers: tuple[Layer, ...]
    options: TrainOptions
    from_file: bool

    @classmethod
    def read(cls, config: Path | None, assignments: Sequence[str], options: TrainOptions) -> Written:
        """Read the user's file and options.

        Raises:
            ConfigError: the file cannot be read, or an option is malformed.
        """
        files = [read_layer(config)] if config is not None else []
        return cls((*files, parse_assignments(assignments), options.layer()), options, config is not None)

    @property
    def content(self) -> Content:
        """All layers merged."""
        merged: Content = {}
        for layer in self.layers:
            merged = merge(merged, layer.content)
        return merged

    def below(self, *loc: str) -> tuple[Layer, ...]:
        """Take a section out of each layer."""
        return tuple(layer.below(*loc) for layer in self.layers)

    def place(self, *loc: str) -> str:
        """Find the place where a section was written, in brackets; empty where it is unknown."""
        found = [at for layer in self.layers for key, at in layer.origin.items() if key[: len(loc)] == loc]
        return f" ({found[0]})" if found else ""

    def find_origins(self, stages: Iterable[str]) -> Mapping[Loc, str]:
        """Find where each leaf of the configuration was written, by its path: its place, or the option.

        Args:
            stages: names of the networks that the model builds on, for which some options are meant, too.
        """
        shared = self.options.stage_layer()
        content: Content = {"stages": dict.fromkeys(stages, shared.content)}
        places = {("stages", name, *at): place for name in stages for at, place in shared.origin.items()}
        for layer in self.layers:
            content = merge(content, layer.content)
            places.update(layer.origin)
        # By leaf: a section's own line says nothing of a key that is not in it.
        return {
            leaf: places[leaf[:n]]
            for leaf in _list_leaves(content)
            for n in [next((n for n in range(len(leaf), 0, -1) if leaf[:n] in places), 0)]
            if n
        }

    def name_of(self, *loc: str) -> str:
        """Name a key for a message: by the option that set it, else by itself."""
        set_by = [layer.origin[loc] for layer in self.layers if loc in layer.origin]
        return set_by[-1] if set_by and isinstance(set_by[-1], OptionName) else ".".join(loc)

    def reader(self) -> ReaderConfig | None:
        """The reader that is asked for."""
        data = self.content.get("data")
        reader = data.get("reader") if isinstance(data, dict) else None
        if reader is None:
            return None
        return parse_component("reader", ReaderConfig, reader, "data.reader")

    def keypoints(self) -> tuple[tuple[str, ...] | None, str]:
        """Find which keypoints are asked for, None for all; and what messages call the key.

        Raises:
            ConfigError: it is no list of names.
        """
        asked = read_section(self.content.get("data"), "data").get("keypoints")
        name = self.name_of("data", "keypoints")
        # Here and not only with the rest: it says what the project is that all else is checked against.
        if asked is not None and not (
            isinstance(asked, list) and asked and all(isinstance(a, str) for a in asked)
        ):
            raise ConfigError(f"{name}: must be a list of names of keypoints, not {asked!r}")
        return None if asked is None else tuple(asked), name

    def says_split(self) -> bool:
        """Whether the user divides the images himself: by a fraction for the test, or by a file."""
        split = read_section(read_section(self.content.get("data"), "data").get("split"), "data.split")
        return "name" not in split and bool({"test", "file"} & set(split))

    def for_project(self, dataset: LabelledDataset, source: Path) -> tuple[Written, list[str]]:
        """Drop what a file says about another project, as the config.yaml of a run does; with a note on that.

        The project is the one that is named on the command line.
        """
        if not self.from_file:
            return self, []
        file, notes = _for_project(self.layers[0], dataset, source)
        return replace(self, layers=(file, *self.layers[1:])), notes


def _for_project(layer: Layer, dataset: LabelledDataset, source: Path) -> tuple[Layer, list[str]]:
    content, project = dict(layer.content), make_project_layer(dataset, source).content
    dropped: list[str] = []
    if isinstance(content.get("data"), dict) and "source" in content["data"]:
        content["data"] = {key: value for key, value in content["data"].items() if key != "source"}
        if find_escaped(str(layer.content["data"]["source"])).resolve() != source.resolve():
            dropped.append("data.source")
            # They are of the other project's videos, and this one says its own.
            for key in ("crop", "video_crops", "test_source"):
                if content["data"].pop(key, None):
                    dropped.append(f"data.{key}")
            # So is the name of a split that the other project brings.
            split = content["data"].get("split")
            if isinstance(split, dict) and split.get("name") not in (None, AUTO):
                content["data"]["split"] = {key: value for key, value in split.items() if key != "name"}
                dropped.append("data.split.name")
    if isinstance(content.get("metadata"), dict) and content.pop("metadata") != dataset.metadata:
        dropped.append("metadata")
    # The labels of this project decide it, not those that another run was trained on.
    if content.pop("untrained_keypoints", None):
        dropped.append("untrained_keypoints")
    # With memory replay they follow from the project and the weights.
    replay = read_section(content.get("train"), "train").get("replay")
    if content.pop("replayed_keypoints", None) and replay is None:
        dropped.append("replayed_keypoints")
    if isinstance(skeleton := content.get("skeleton"), dict):
        own = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in project["skeleton"].items()
        }
        differing = [key for key in _FACTS if key in skeleton and skeleton[key] != own[key]]
        content["skeleton"] = {key: value for key, value in skeleton.items() if key not in _FACTS}
        # Its limbs and pairs are of other keypoints then, too.
        if "keypoints" in differing:
            del content["skeleton"]
        dropped += [f"skeleton.{key}" for key in differing]
    notes = [f"{', '.join(dropped)}: taken from {source}, not from the configuration file"] if dropped else []
    return Layer(content, layer.origin), notes


def make_project_layer(dataset: LabelledDataset, source: Path) -> Layer:
    return Layer(
        {
            "skeleton": dataclasses.asdict(dataset.skeleton),
            "data": {
                "source": escape_name(source.resolve()),
                "crop": dataset.crop,
                "video_crops": dict(dataset.video_crops),
            },
            "metadata": dataset.metadata,
        }
    )


def check_skeleton(skeleton: Skeleton, dataset: LabelledDataset) -> None:
    """Refuse a skeleton that says something else than the labels do.

    Raises:
        ConfigError: keypoints or animals differ.
    """
    for key in ("keypoints", "unique_keypoints"):
        said, there = getattr(skeleton, key), getattr(dataset.skeleton, key)
        if said != there:
            raise ConfigError(
                f"skeleton.{key}: the labels have {', '.join(there) or 'none'}, not {', '.join(said) or 'none'}; "
                f"leave it out, or choose some of them with {argument('keypoints')}"
            )
    if skeleton.num_individuals < dataset.skeleton.num_individuals:
        raise ConfigError(
            f"skeleton.individuals: the labels have {dataset.skeleton.num_individuals}, and here are "
            f"{skeleton.num_individuals}; leave it out"
        )


def _list_leaves(content: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the paths of what is no section, empty sections included."""
    if not isinstance(content, dict) or not content:
        yield at
        return
    for key, value in content.items():
        yield from _list_leaves(value, (*at, str(key)))


def read_component(value: object, key: str) -> Content:
    """A component, which may be written as its name alone."""
    return {"type": value} if isinstance(value, str) else read_section(value, key)
