"""2000 spoilt plugins: what their hooks return, how they fail, and what the classes are that they name."""

from __future__ import annotations

import importlib.metadata
import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pose_core import catalog, hooks
from pose_core.hooks import (
    BackbonePreset,
    ComponentSpec,
    ExtraHead,
    ModelPreset,
    ModelRecipe,
    PluginInfo,
    WeightSpec,
    ZooNetwork,
    hookimpl,
)
from pose_core.plugins import discovery

from .conftest import Material
from .odd import TEXTS, odd_values
from .oracle import Ended, Example, check, fuzz, pose

FAMILY = "plugins"
MODULE = "pose_fuzzed_plugin"

Fields = dict[str, Any]

_TOY = {"name": "toy", "summary": "a toy"}
_HEADS = {"model": {"heads": {"keypoints": {"type": "heatmap/heatmap"}}}}
_WHOLE = {"model": {"backbone": {"type": "toy/toy"}, **_HEADS["model"]}}
_FEW = {"bottom_up": {"train": {"epochs": 3}}}


def _component(kind: str, name: str, config: str, factory: str = "Network") -> tuple[type, Fields]:
    config = f"{MODULE}:{config}" if config else ""
    return ComponentSpec, {
        **_TOY,
        "kind": kind,
        "name": name,
        "config": config,
        "factory": f"{MODULE}:{factory}",
    }


GOOD: dict[str, list[tuple[type, Fields]]] = {
    "pose_plugin_info": [
        (PluginInfo, {"namespace": "toy", "summary": "a toy", "license": "MIT", "hook_api": "1.0"})
    ],
    "pose_components": [
        _component("backbone", "toy", "Config"),
        _component("head", "toyhead", "HeadConfig"),
        _component("reader", "toyreader", "ReaderConfig", "Reader"),
        _component("toy/kind", "opened", ""),
    ],
    "pose_backbones": [
        (
            BackbonePreset,
            {**_TOY, "name": "toy_8", "family": "a", "backbone": {"type": "toy/toy"}, "overrides": _FEW},
        ),
    ],
    "pose_recipes": [
        (
            ModelRecipe,
            {"name": "{backbone}_toyed", "method": "single_animal", "summary": "{backbone}", "spec": _HEADS},
        ),
    ],
    "pose_models": [
        (
            ModelPreset,
            {**_TOY, "name": "toymodel", "method": "single_animal", "family": "toys", "spec": _WHOLE},
        ),
        (
            ModelPreset,
            {
                **_TOY,
                "name": "cited",
                "method": "top_down",
                "family": "",
                "spec": {},
                "citations": ("b2020",),
            },
        ),
    ],
    "pose_extra_heads": [
        (
            ExtraHead,
            {**_TOY, "needs": "identity", "head": {"type": "toy/toyhead"}, "methods": ("bottom_up",)},
        ),
    ],
    "pose_weights": [
        (
            WeightSpec,
            {
                "name": "toyweights",
                "model": "toy/toy_8",
                "url": "https://example.invalid/toy",
                "sha256": "0" * 64,
                "license": "MIT",
                "source": "nowhere",
            },
        ),
    ],
    "pose_zoo": [
        (
            ZooNetwork,
            {
                "project": "toyzoo",
                "network": "toynetwork",
                "url": "https://example.invalid/toy",
                "license": "MIT",
                "source": "nowhere",
                "description": _WHOLE,
                "keypoints": ("nose",),
            },
        ),
    ],
}

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("plugins",),
    ("plugins", "--verbose", "--json"),
    ("models",),
    ("models", "--json"),
    ("weights", "--json"),
    ("detectors",),
    ("show", "toy"),
    ("show", "toymodel", "--json"),
    ("show", "toy_8_toyed"),
    ("show", "toyreader"),
    ("show", "opened"),
    ("show", "unet"),
    ("check", "toy", "--level", "0"),
    ("schema",),
    ("train",),
    ("train", "--model", "toymodel"),
    ("train", "--model", "toy_8"),
    ("train", "--model", "unet"),
)


class Odd(str):
    """Text that is more than text."""

    __slots__ = ("more",)


def _raises(error: BaseException) -> Callable[[], Any]:
    def hook() -> Any:
        raise error

    return hook


def _yields_then(error: BaseException, made: list[Any]) -> Callable[[], Iterator[Any]]:
    def hook() -> Iterator[Any]:
        yield from made
        raise error

    return hook


class _Config:
    """No config class."""


def _errors() -> tuple[BaseException, ...]:
    return (
        RuntimeError("no\nlicence"),
        ValueError(),
        SystemExit(3),
        SystemExit("bye"),
        RecursionError("deep"),
        ImportError("gone"),
        AttributeError("gone"),
        StopIteration(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        type("Strange", (BaseException,), {"__str__": lambda self: "\x1b[31m" * 3})("x"),
        type("Nameless", (Exception,), {"__str__": lambda self: 1 / 0})("x"),  # type: ignore[dict-item,return-value]
    )


def _classes(rng: random.Random) -> dict[str, Any]:
    """What the strings of definitions lead to; sometimes not what they should be."""
    from pose_core.interfaces import Reader as ReaderBase
    from pose_core.specs import BackboneConfig, Feature, ReaderConfig
    from pose_core.specs import HeadConfig as HeadBase

    class Config(BackboneConfig):
        depth: int = 8

        def features(self) -> tuple[Feature, ...]:
            return (Feature(8, 8),)

    class HeadConfig(HeadBase):
        size: float = 1.0

        def predicts_identity(self) -> bool:
            return True

    class Reader(ReaderBase):
        @classmethod
        def accepts(cls, path: Path) -> bool:
            return False

        def read(self, path: Path) -> Any:
            raise NotImplementedError

    classes: dict[str, Any] = {
        "Config": Config,
        "HeadConfig": HeadConfig,
        "ReaderConfig": ReaderConfig,
        "Reader": Reader,
    }
    classes["Network"] = _Config
    if rng.random() < 0.5:
        spoilt = rng.choice(
            (None, 1, "text", _Config, lambda **_: None, int, print, HeadConfig, type("Config", (), {}))
        )
        if rng.random() < 0.5:
            classes[rng.choice(sorted(classes))] = spoilt
        else:
            answer = rng.choice(
                (None, (), (Feature(0, 0),), (1, 2), "x", (Feature(8, 8), Feature(16, 16)), Feature(8, 8))
            )
            error = rng.choice((*_errors(), None))

            def features(self: Any) -> Any:
                if error is not None and isinstance(error, Exception):
                    raise error
                return answer

            classes["Config"] = type(
                "Config", (BackboneConfig,), {"features": features, "__module__": MODULE}
            )
    return classes


def _spoilt_definition(made: type, fields: Fields, rng: random.Random) -> Any:
    fields = dict(fields)
    name = rng.choice(list(made.__dataclass_fields__))  # type: ignore[attr-defined]
    kind = rng.random()
    if kind < 0.45:
        fields[name] = rng.choice(odd_values())
    elif kind < 0.6:
        fields[name] = rng.choice(
            (
                object(),
                lambda: 1,
                Odd("toy"),
                b"toy",
                {1, 2},
                1j,
                Ellipsis,
                NotImplemented,
                type,
                ("a",),
                {"model": 1},
            )
        )
    elif kind < 0.8 and isinstance(fields.get(name), str):
        fields[name] = rng.choice(
            (fields[name][:-1], fields[name] + " ", fields[name] * 300, fields[name].upper(), *TEXTS)
        )
    elif isinstance(fields.get(name), dict):
        fields[name] = rng.choice(
            (
                {},
                {"model": None},
                {"model": []},
                {1: 2},
                {"type": 1},
                {"type": "toy"},
                {"type": "x/y"},
                {"bottom_up": 1},
                {"train": {"epochs": "x"}},
            )
        )
    return made(**fields)


def _hooks(rng: random.Random) -> dict[str, Any]:
    """The functions of a module: good ones, of which one or two are spoilt."""
    functions: dict[str, Any] = {}
    spoilt = rng.sample(sorted(GOOD), rng.choice((0, 1, 1, 1, 2)))
    for hook, definitions in GOOD.items():
        made = [kind(**fields) for kind, fields in definitions]
        if hook in spoilt:
            functions[hook] = _spoilt_hook(hook, definitions, made, rng)
        elif rng.random() < 0.95:
            functions[hook] = (
                (lambda made=made: made[0]) if hook == "pose_plugin_info" else (lambda made=made: iter(made))
            )
    return {
        name: hookimpl(function) if callable(function) else function for name, function in functions.items()
    }


def _spoilt_hook(
    hook: str, definitions: list[tuple[type, Fields]], made: list[Any], rng: random.Random
) -> Any:
    kind = rng.random()
    if kind < 0.55:
        at = rng.randrange(len(made))
        made[at] = _spoilt_definition(*definitions[at], rng)
        if hook == "pose_plugin_info":
            return lambda: made[0]
        return lambda: made
    if kind < 0.65:
        return _raises(rng.choice(_errors()))
    if kind < 0.75:
        return _yields_then(rng.choice(_errors()), made)
    if kind < 0.85:
        answer = rng.choice(
            (*odd_values(), object(), made * 2, [None], [made], (d for d in made), dict.fromkeys("ab"))
        )
        return lambda: answer
    other = rng.choice([d for name, all_of in GOOD.items() for d in all_of if name != hook])
    return rng.choice(
        (
            lambda: [*made, other[0](**other[1])],
            lambda wrong, arguments: made,  # arguments that no hook has
            lambda *given: made,
            hook,  # no function
            None,
        )
    )


SOURCES = (
    "import sys; sys.exit(0)",
    "raise SystemExit",
    "raise RuntimeError('a\\nb')",
    "import nothing_of_this_name",
    "def broken(:",
    "\0",
    "x = 1",
    "import pose_core.nothing",
    "from pose_core.hooks import hookimpl\n@hookimpl\ndef pose_nothing(): pass",
    "from pose_core.hooks import hookimpl\n@hookimpl\nclass pose_components: pass",
    "raise __import__('pose_core.errors').errors.PoseError('mine')",
    "# -*- coding: nonsense -*-",
    "def __getattr__(name): raise RuntimeError(name)",
    "def __getattr__(name): return lambda: None",
    "raise BaseException('base')",
    "exit()",
    "import os; os.environ.pop('nothing')",
    "assert False, 'no'",
    "raise ExceptionGroup('several', [ValueError('a')])",
    "class E(Exception):\n    def __str__(self): return 1\nraise E",
)


def make_plugin(material: Material, rng: random.Random, folder: Path) -> Example:
    """A distribution with an entry point, and a command that meets it."""
    sys.modules.pop(MODULE, None)
    name = "toy" if rng.random() < 0.95 else rng.choice(("unet", "core", "coco", "a b", "ñ", "x" * 300))
    target, about = MODULE, "hooks"
    if rng.random() < 0.15:
        source = rng.choice(SOURCES)
        (folder / f"{MODULE}.py").write_text(source)
        about = f"module {source[:30]!r}"
    else:
        module = types.ModuleType(MODULE)
        for key, value in {**_classes(rng), **_hooks(rng)}.items():
            setattr(module, key, value)
        sys.modules[MODULE] = module
        if rng.random() < 0.05:
            target = rng.choice(
                (
                    f"{MODULE}:nothing",
                    f"{MODULE}:Config",
                    "no such module",
                    "",
                    ":",
                    "os:system",
                    "a..b",
                    "json",
                )
            )
    dist = folder / "toy-1.0.dist-info"
    dist.mkdir()
    author = rng.choice(("a stranger", "pose_core developers"))
    (dist / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: toy\nVersion: {rng.choice(('1.0', 'x', ''))}\nAuthor: {author}\n"
    )
    (dist / "entry_points.txt").write_text(f"[{hooks.ENTRY_POINT_GROUP}]\n{name} = {target}\n")
    command = rng.choice(COMMANDS)
    if command[0] == "train":
        command = (
            "train",
            str(material.own),
            *command[1:],
            *(() if len(command) > 1 else ("--model", "unet")),
        )
        command = (*command, "--out", str(folder / "out"))
    # 'pose check' finds what is wrong with a plugin: that is no error of its user.
    return Example(list(command), about, (0, 1, 2) if command[0] == "check" else (0, 2))


def with_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[Example, Path], Ended]:
    installed = list(importlib.metadata.entry_points(group=hooks.ENTRY_POINT_GROUP))

    def run(example: Example, folder: Path) -> Ended:
        ours = importlib.metadata.Distribution.at(folder / "toy-1.0.dist-info").entry_points
        with monkeypatch.context() as patch:
            patch.setattr(
                discovery, "load_installed", lambda: discovery.load_all([*installed, *ours], frozenset())
            )
            patch.syspath_prepend(folder)
            catalog.get_catalog.cache_clear()
            try:
                return pose(example.arguments, folder)
            finally:
                catalog.get_catalog.cache_clear()
                sys.modules.pop(MODULE, None)

    return run


def _fuzz(material: Material, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: range) -> None:
    run = with_plugin(monkeypatch)
    check(fuzz(FAMILY, numbers, lambda rng, place: make_plugin(material, rng, place), folder, run))


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_plugins(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fuzz(material, tmp_path, monkeypatch, range(2000, 2016))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2000_plugins(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    _fuzz(material, tmp_path, monkeypatch, range(500 * part, 500 * (part + 1)))
