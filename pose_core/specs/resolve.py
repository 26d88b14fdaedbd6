"""From a model's name, a file and command-line options to one configuration.

The one place where precedence is decided: core defaults < model preset < data < file < command line. A
mapping is merged key by key (see :mod:`pose_core.catalog.merge`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.install_hints import MODEL
from pose_core.catalog.merge import ContentDict, merge
from pose_core.definitions import Content
from pose_core.errors import ConfigError, argument, command, setting
from pose_core.hooks import MethodSpec
from pose_core.specs.extra_heads import extra_heads, make_note, refuse_unsuited, with_heads
from pose_core.specs.run import RunSpec
from pose_core.specs.validation_errors import Loc, OptionName
from pose_core.specs.yaml_file import parse_yaml, read_yaml, validate


@dataclass(frozen=True)
class Layer:
    """A partial configuration and where its keys were written.

    Attributes:
        content: the mapping.
        origin: place of each key by its path, for messages; keys without an entry have no place a user could
            edit.
    """

    content: Content
    origin: Mapping[Loc, str] = field(default_factory=dict)

    def below(self, *loc: str) -> Layer:
        """Take a section out of the layer; empty where it has none.

        Raises:
            ConfigError: it is no section.
        """
        content: Any = self.content
        for depth, key in enumerate(loc):
            content = read_section(content.get(key), ".".join(loc[: depth + 1]))
        return Layer(
            content, {at[len(loc) :]: place for at, place in self.origin.items() if at[: len(loc)] == loc}
        )


def read_section(value: object, key: str) -> ContentDict:
    """A section of the configuration; empty where there is none.

    Raises:
        ConfigError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: must hold keys and values, not {value!r}")
    return value


def read_layer(path: Path) -> Layer:
    """A user's YAML file.

    Raises:
        ConfigError: the file cannot be read or is no YAML mapping.
    """
    content, lines = read_yaml(path)
    return Layer(content, {loc: f"{path} line {line}" for loc, line in lines.items()})


def parse_assignments(assignments: Sequence[str]) -> Layer:
    """Put assignments (``a.b=c``) into a layer; values are YAML (numbers, true, null, [lists]).

    Raises:
        ConfigError: an assignment has no ``=``, or goes through a value that is no mapping.
    """
    content: ContentDict = {}
    origin: dict[Loc, str] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = tuple(path.strip().split("."))
        if not equals or not all(keys):
            raise ConfigError(
                f"{setting(repr(assignment))}: write it as key.key=value, for example "
                "train.optimizer.lr=0.001"
            )
        try:
            # YAML, as in a file: 0.001, true, null and [a, b] mean the same in both.
            value = parse_yaml(text)
        except yaml.YAMLError:
            raise ConfigError(f"{setting(repr(assignment))}: the value is not valid YAML; quote it") from None
        inner = content
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                # Two assignments that contradict each other: neither may win in silence.
                raise ConfigError(f"{setting(repr(assignment))}: {key} was already set to a value")
        inner[keys[-1]] = value
        origin[keys] = setting(path.strip())
    return Layer(content, origin)


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Read assignments (``a.b=c``) as settings by their keys, for functions that take those.

    Raises:
        ConfigError: an assignment is malformed, or two contradict each other.
    """
    # All at once first, for what two of them say together.
    parse_assignments(assignments)
    pairs = (assignment.partition("=") for assignment in assignments)
    return {key.strip(): parse_yaml(text) for key, _, text in pairs}


def make_settings_layer(settings: Mapping[str, Any] | None) -> Layer:
    """Put settings by their keys (``{"a.b": c}``) into a layer.

    Raises:
        ConfigError: a value is nothing that YAML can hold, or two contradict each other.
    """
    return parse_assignments([f"{key}={write_value(value)}" for key, value in (settings or {}).items()])


def write_value(value: object) -> str:
    """Write a value of Python as an assignment has it.

    Raises:
        ConfigError: YAML has no such value.
    """
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        raise ConfigError(
            f"settings: a value must be a number, text, list or mapping of these, not {type(value).__name__}"
        ) from None


def make_option_layer(options: Iterable[tuple[str, str, object]]) -> Layer:
    """Options with a name of their own: (how messages call it, ``train.epochs``, value); None means not
    given."""
    content: ContentDict = {}
    origin: dict[Loc, str] = {}
    for option, path, value in options:
        if value is None:
            continue
        *outer, last = path.split(".")
        inner = content
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
        origin[tuple(path.split("."))] = OptionName(option)
    return Layer(content, origin)


def choose_model(name: str, multi_animal: bool, method: str | None = None) -> Model:
    """The model of that name that suits the data.

    Args:
        name: bare or full name.
        multi_animal: whether frames hold several animals.
        method: insist on this method.

    Raises:
        ConfigError: no such model, or none of that name can handle the data.
    """
    offered = get_catalog().model(name, method)
    if method is not None:
        return offered[0]
    order = rank_methods(multi_animal)
    suitable = [model for model in offered if model.method in order]
    if suitable:
        return min(suitable, key=lambda model: order.index(model.method))
    others = sorted({m.name for m in get_catalog().models() if m.method in order})
    # Among the models that would do, not all: the name itself was right, only not for these data.
    near = difflib.get_close_matches(name, others, n=3, cutoff=0.5) or others[:3]
    advice = (
        f"for several there is {' or '.join(near)}; {command('models')} lists all"
        if others
        else "no installed plugin offers a model for several animals; "
        f"{get_catalog().advice_on_methods(order)}"
    )
    if why := get_catalog().advice(MODEL, name, order):
        advice = f"for several {why}; {advice}"
    raise ConfigError(
        f"model {name!r} finds one animal a frame, but the project has several individuals; {advice}"
    )


def rank_methods(multi_animal: bool) -> list[str]:
    """Names of the methods that can handle the data, those first that suit them best."""

    def key(method: MethodSpec) -> tuple[bool, bool, bool, bool]:
        # What finds whole poses; what was made for so many animals; what needs no poses of another model; and
        # for one animal a crop, which shows it larger, for several the whole frame, which needs no detector.
        wanted = ("several", "frame") if multi_animal else ("one", "animal")
        partly = method.learns != "keypoints"
        return partly, method.animals != wanted[0], bool(method.inputs), method.view != wanted[1]

    able = [m for m in get_catalog().methods() if m.animals == "several" or not multi_animal]
    return [method.name for method in sorted(able, key=key)]


def resolve(
    model: Model | None,
    data: Layer,
    user: Sequence[Layer],
    notes: list[str] | None = None,
    stages: Mapping[str, Content] | None = None,
) -> RunSpec:
    """One configuration from all layers.

    Args:
        model: the preset; None when the user's layers hold a complete model.
        data: what the labelled project says (skeleton, source, metadata).
        user: the file and the command line, in this order.
        notes: gets a line for each head that the model is given beyond its own, see
            :mod:`pose_core.specs.extra_heads`.
        stages: the sections of the networks that the model builds on, in the place of what the layers say of
            them.

    Raises:
        ConfigError: one line that names the key, the reason and where it was written; or that the model does
            not suit the project.
    """
    content: ContentDict = {}
    presets = model.layers if model is not None else ()
    for preset in presets:
        content = merge(content, preset)
    if model is not None:
        # Above the presets and below the user, so that a file may insist on a method and be refused for it
        # by key.
        content = merge(content, {"model": {"name": model.full_name, "method": model.method}})
    origin: dict[Loc, str] = {}
    for layer in (data, *user):
        # Before merging: afterwards the section that was overwritten is gone.
        _check_mappings(layer, content)
        content = merge(content, layer.content)
        origin.update(layer.origin)
    if model is not None:
        refuse_unsuited(model, content)
    extra = extra_heads(content, [layer.content for layer in user]) if model is not None else {}
    content = with_heads(content, extra, [*presets, data.content, *(layer.content for layer in user)], origin)
    # Once more, above the user: a file may name the model by its bare name, and the run keeps the full one.
    if model is not None:
        content = merge(content, {"model": {"name": model.full_name}})
    elif not isinstance(content.get("model"), Mapping) or "backbone" not in content["model"]:
        raise ConfigError(
            f"no model is named: use {argument('model', 'NAME')} ({command('models')} lists them) "
            f"or give model.backbone and model.heads in {argument('config')}"
        )
    if stages is not None:
        content = {**content, "stages": stages}
    # Validated once, after all layers: a partial layer is not valid by itself.
    spec = validate(content, origin)
    if notes is not None:
        notes += [make_note(spec, head) for head in extra.values()]
    return spec


def _check_mappings(layer: Layer, below: Content) -> None:
    """A section written as a plain value would silently replace the whole preset below it."""
    for key, value in layer.content.items():
        if isinstance(below.get(key), Mapping) and not isinstance(value, Mapping):
            where = layer.origin.get((key,), "")
            raise ConfigError(
                f"{key}: must hold keys and values, not {value!r}" + (f" ({where})" if where else "")
            )
