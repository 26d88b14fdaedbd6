"""What a user wrote of a configuration: a file, assignments and options, each with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pose_core.catalog.merge import merge
from pose_core.data.project_splits import AUTO
from pose_core.errors import ConfigError
from pose_core.escapes import escape_name
from pose_core.io.names import find_escaped
from pose_core.specs import ReaderConfig, parse_component
from pose_core.specs.resolve import Layer, parse_assignments, read_layer
from pose_core.specs.validation_errors import Loc, OptionName
from pose_core.structures import LabelledDataset
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
        return tuple(_below(layer, loc) for layer in self.layers)

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


def _list_leaves(content: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the paths of what is no section, empty sections included."""
    if not isinstance(content, dict) or not content:
        yield at
        return
    for key, value in content.items():
        yield from _list_leaves(value, (*at, str(key)))


def _below(layer: Layer, loc: tuple[str, ...]) -> Layer:
    content: Any = layer.content
    for depth, key in enumerate(loc):
        content = read_section(content.get(key), ".".join(loc[: depth + 1]))
    return Layer(
        content, {at[len(loc) :]: place for at, place in layer.origin.items() if at[: len(loc)] == loc}
    )


def read_section(value: object, key: str) -> Content:
    """A section of the configuration; empty where there is none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: must hold keys and values, not {value!r}")
    return value


def read_component(value: object, key: str) -> Content:
    """A component, which may be written as its name alone."""
    return {"type": value} if isinstance(value, str) else read_section(value, key)
