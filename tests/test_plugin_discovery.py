"""Discovery: every plugin alone, in a fixed order, with a record of what became of it."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pose_core import hooks
from pose_core.catalog import Catalog
from pose_core.errors import ConfigError, PluginError
from pose_core.hooks import BackbonePreset, ComponentSpec, ModelPreset, ModelRecipe, PluginInfo, hookimpl
from pose_core.plugins import describe_defect, load_all

Make = Callable[..., importlib.metadata.EntryPoint]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes an entry point of an installed-looking distribution around a module made of hook functions."""
    created: list[str] = []

    def build(
        name: str, *functions: Callable[..., object], author: str = "a stranger", body: str = ""
    ) -> importlib.metadata.EntryPoint:
        module_name = f"toy_plugin_{name.replace('-', '_')}_{len(created)}"
        created.append(module_name)
        if body:
            (tmp_path / f"{module_name}.py").write_text(body)
            if str(tmp_path) not in sys.path:
                sys.path.insert(0, str(tmp_path))
        else:
            module = types.ModuleType(module_name)
            for function in functions:
                setattr(module, function.__name__, function)
            sys.modules[module_name] = module
        folder = tmp_path / f"{module_name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module_name}\nVersion: 1.0\nAuthor: {author}\n"
        )
        (folder / "entry_points.txt").write_text(f"[{hooks.ENTRY_POINT_GROUP}]\n{name} = {module_name}\n")
        (found,) = importlib.metadata.Distribution.at(folder).entry_points
        return found

    yield build
    for module_name in created:
        sys.modules.pop(module_name, None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def info(namespace: str, hook_api: str = "1.0") -> Callable[[], PluginInfo]:
    @hookimpl
    def pose_plugin_info() -> PluginInfo:
        return PluginInfo(namespace=namespace, summary="toy", license="MIT", hook_api=hook_api)

    return pose_plugin_info


def components(*names: str, kind: str = "backbone") -> Callable[[], list[ComponentSpec]]:
    @hookimpl
    def pose_components() -> list[ComponentSpec]:
        return [
            ComponentSpec(kind, name, "toy.config:Config", "toy.network:Network", "toy") for name in names
        ]

    return pose_components


def backbones(*names: str) -> Callable[[], list[BackbonePreset]]:
    @hookimpl
    def pose_backbones() -> list[BackbonePreset]:
        return [BackbonePreset(name, "toys", {"type": name}, name) for name in names]

    return pose_backbones


OURS = "pose_core developers"


def test_a_good_plugin_is_active(make: Make) -> None:
    (record,) = load_all([make("toy", info("toy"), components("a", "b"))], frozenset())
    assert (record.status, record.reason, record.version) == ("active", "", "1.0")
    assert [c.full_name for c in Catalog([record]).components("backbone")] == ["toy/a", "toy/b"]


@pytest.mark.parametrize(
    ("functions", "status", "reason"),
    [
        ((components("a"),), "failed", "no pose_plugin_info"),
        ((info("toy", "99.0"),), "incompatible", "install a newer pose_core"),
        ((info("toy", "1.99"),), "incompatible", "install a newer pose_core"),
        ((info("toy", "0.9"),), "incompatible", "upgrade the plugin"),
        ((info("toy", "new"),), "failed", "major.minor"),
        ((info("other"),), "failed", "differs from the entry point's name"),
        ((info("toy"), components("a", "a")), "failed", "defined twice"),
        ((info("toy"), components("a/b")), "failed", "without '/'"),
        ((info("toy"), components("a", kind="backbonne")), "failed", "unknown kind 'backbonne'"),
    ],
)
def test_what_is_wrong_is_recorded(
    make: Make, functions: tuple[Callable[..., object], ...], status: str, reason: str
) -> None:
    (record,) = load_all([make("toy", *functions)], frozenset())
    assert record.status == status
    assert reason in record.reason
    assert not record.definitions


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("def broken(:", "SyntaxError"),
        (
            "from pose_core.hooks import *\n@hookimpl\ndef pose_componentz(): return []",
            "pose_componentz is no hook; did you mean pose_components?",
        ),
        (
            (
                "from pose_core.hooks import *\n"
                "@hookimpl\ndef pose_plugin_info(): return PluginInfo('toy', 's', 'MIT', '1.0')\n"
                "def pose_components(): return []"
            ),
            "pose_components is the name of a hook, but the function lacks @hookimpl",
        ),
        (
            (
                "from pose_core.hooks import *\n"
                "@hookimpl\ndef pose_plugin_info(): return PluginInfo('toy', 's', 'MIT', '1.0')\n"
                "@hookimpl\ndef pose_components(): return [{'kind': 'backbone'}]"
            ),
            "pose_components yields dict, not ComponentSpec",
        ),
        (
            (
                "from pose_core.hooks import *\n"
                "@hookimpl\ndef pose_plugin_info(): return PluginInfo('toy', 's', 'MIT', '1.0')\n"
                "@hookimpl\ndef pose_models(): return None"
            ),
            "pose_models must return an iterable of ModelPreset",
        ),
    ],
)
def test_a_broken_module_costs_nobody_else_anything(make: Make, body: str, reason: str) -> None:
    broken, good = load_all(
        [make("toy", body=body), make("zebra", info("zebra"), components("a"))], frozenset()
    )
    assert (broken.status, good.status) == ("failed", "active")
    assert reason in broken.reason
    assert "\n" not in broken.reason


def test_order_and_namespaces_do_not_depend_on_the_file_system(make: Make) -> None:
    ours = make("net", info("net"), components("a"), author=OURS)
    theirs = make("net", info("net"), components("a"))
    first = make("aaa", info("aaa"))
    for points in ([ours, theirs, first], [theirs, first, ours]):
        records = load_all(points, frozenset())
        assert [(r.name, r.status, r.first_party) for r in records] == [
            ("net", "active", True),
            ("aaa", "active", False),
            ("net", "failed", False),
        ]
        assert "is taken by" in records[2].reason


def test_disabled_plugins_are_not_imported(make: Make) -> None:
    (record,) = load_all([make("toy", body="raise SystemExit('imported')")], frozenset({"toy"}))
    assert (record.status, record.reason) == ("disabled", "named in POSE_DISABLE_PLUGINS")


def test_bare_names(make: Make) -> None:
    ours = make("net", info("net"), components("a"), author=OURS)
    theirs = make("other", info("other"), components("a", "b"))
    third = make("third", info("third"), components("b"))
    catalog = Catalog(load_all([third, theirs, ours], frozenset()))
    assert catalog.component("backbone", "a").full_name == "net/a", "a first-party name cannot be taken over"
    assert catalog.component("backbone", "other/a").full_name == "other/a"
    with pytest.raises(ConfigError, match=r"ambiguous: write other/b or third/b"):
        catalog.component("backbone", "b")
    assert "belongs to net; write 'other/a'" in catalog.notes()["other"]
    assert "is ambiguous; write 'third/b'" in catalog.notes()["third"]


def test_unknown_names_help(make: Make) -> None:
    catalog = Catalog(
        load_all(
            [make("net", info("net"), components("resnet")), make("bad", body="raise ValueError('x')")],
            frozenset(),
        )
    )
    with pytest.raises(
        ConfigError, match=r"did you mean resnet\?.*plugins not loaded: bad \(failed: ValueError: x"
    ):
        catalog.component("backbone", "resnett")
    with pytest.raises(ConfigError, match="its plugin 'vitpose' is not installed"):
        catalog.component("backbone", "vitpose/tiny")
    with pytest.raises(ConfigError, match="no installed plugin offers any"):
        catalog.component("detector", "yolo")


def test_recipes_turn_backbones_into_models(make: Make) -> None:
    @hookimpl
    def pose_recipes() -> list[ModelRecipe]:
        return [
            ModelRecipe(
                "{backbone}",
                "single_animal",
                "{backbone}, whole frame",
                {"model": {"heads": {"k": {"type": "h"}}}},
            ),
            ModelRecipe("top_down_{backbone}", "top_down", "{backbone} on crops", {"model": {}}),
        ]

    @hookimpl
    def pose_models() -> list[ModelPreset]:
        return [ModelPreset("special", "bottom_up", "toys", "whole", {"model": {}})]

    catalog = Catalog(
        load_all(
            [
                make("net", info("net"), backbones("a", "b")),
                make("head", info("head"), pose_recipes, pose_models),
            ],
            frozenset(),
        )
    )
    assert [(m.name, m.method, m.full_name) for m in catalog.models()] == [
        ("a", "single_animal", "net/a"),
        ("b", "single_animal", "net/b"),
        ("special", "bottom_up", "head/special"),
        ("top_down_a", "top_down", "net/top_down_a"),
        ("top_down_b", "top_down", "net/top_down_b"),
    ]
    with pytest.raises(ConfigError, match="not available as bottom_up; it is as single_animal"):
        catalog.model("a", "bottom_up")


def test_a_component_whose_class_is_missing_is_named(make: Make) -> None:
    catalog = Catalog(load_all([make("net", info("net"), components("a"))], frozenset()))
    with pytest.raises(
        PluginError, match=r"config 'toy\.config:Config' of backbone 'net/a' cannot be imported"
    ):
        catalog.component("backbone", "a").config_class()


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (ComponentSpec("backbone", 1, "a:B", "a:B", ""), "name of ComponentSpec 1 must be text, not int"),  # type: ignore[arg-type]
        (
            ComponentSpec("backbone", "a", "a:B", "a:B", "\x1b[31m"),
            "summary of ComponentSpec 'a' must be one line",
        ),
        (
            ComponentSpec("backbone", "a", "a:B", "a:B", "", "tag"),
            "tags of ComponentSpec 'a' must be a tuple of texts",
        ),  # type: ignore[arg-type]
        (
            ComponentSpec("backbone", "a", "a:B", "a:B", "", (), ("\ud800",)),
            "citations of ComponentSpec 'a' must be one",
        ),
        (
            BackbonePreset("a", "f", {"type": "a"}, "", {"train": {1}}),
            "'train' in spec of BackbonePreset 'a' is a set",
        ),  # type: ignore[dict-item]
        (
            BackbonePreset("a", "f", {"type": "a"}, "", {"model": 1}),
            "the spec of 'a' must hold keys and values",
        ),
        (
            BackbonePreset("a", "f", {"type": "a"}, "", {}, {"top_down": 1}),
            "the spec of 'a' must hold keys and values",
        ),  # type: ignore[dict-item]
        (ModelRecipe("{backbone}", "top_down", None, {}), "summary of ModelRecipe '{backbone}' must be text"),  # type: ignore[arg-type]
        (
            ModelPreset("a", "top_down", "f", "", {1: 2}),
            "spec of ModelPreset 'a' has the key 1, which is no text",
        ),  # type: ignore[dict-item]
    ],
)
def test_a_definition_with_wrong_fields_fails_its_plugin_alone(
    make: Make, definition: object, reason: str
) -> None:
    hook = next(name for name, kind in hooks.HOOKS.items() if isinstance(definition, kind))

    def ask() -> list[object]:
        return [definition]

    ask.__name__ = hook
    broken, good = load_all(
        [make("toy", info("toy"), hookimpl(ask)), make("zebra", info("zebra"))], frozenset()
    )
    assert (broken.status, good.status) == ("failed", "active")
    assert reason in broken.reason
    assert Catalog([broken, good]).models() == ()


def test_braces_in_a_recipe_are_no_code(make: Make) -> None:
    recipe = ModelRecipe("{backbone}_{0}", "top_down", "{backbone} {backbone.__class__} {", {})

    @hookimpl
    def pose_recipes() -> list[ModelRecipe]:
        return [recipe]

    (model,) = Catalog(
        load_all([make("toy", info("toy"), backbones("a"), pose_recipes)], frozenset())
    ).models()
    assert (model.name, model.summary) == ("a_{0}", "a {backbone.__class__} {")


def test_an_exception_that_cannot_speak(make: Make) -> None:
    body = "class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute"
    (record,) = load_all([make("toy", body=body)], frozenset())
    assert record.reason.startswith("Mute: no message")


@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        ("raise SystemExit(3)", "Config", r"cannot be imported \(SystemExit: 3\)"),
        ("raise RuntimeError('no\\nlicence')", "Config", r"cannot be imported \(RuntimeError: no licence\)"),
        ("def Config(): pass", "Config", "is no config class"),
        ("Config = int", "Config", "is no config class"),
    ],
)
def test_a_config_that_is_none_is_named(
    make: Make, tmp_path: Path, body: str, target: str, reason: str
) -> None:
    @hookimpl
    def pose_components() -> list[ComponentSpec]:
        return [
            ComponentSpec("backbone", "a", f"{tmp_path.name.replace('-', '_')}_config:{target}", "a:B", "toy")
        ]

    point = make("toy", info("toy"), pose_components)
    (tmp_path / f"{tmp_path.name.replace('-', '_')}_config.py").write_text(body)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(PluginError, match=reason):
            Catalog(load_all([point], frozenset())).component("backbone", "a").config_class()
    finally:
        sys.path.remove(str(tmp_path))


def _raised(by: Callable[[], object]) -> Exception:
    try:
        by()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_defect_is_that_of_the_plugin_whose_code_raised_last(make: Make) -> None:
    body = """
from pose_core.hooks import PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="toy", summary="toy", license="MIT", hook_api="1.0")

def divide():
    return 1 / 0

def ask_the_core():
    from pathlib import Path
    return Path(None)
"""
    records = load_all([make("toy", body=body)], frozenset())
    (record,) = records
    module = sys.modules[record.target]
    assert f"plugin toy ({record.distribution} 1.0), in {module.__file__}:9;" in describe_defect(
        _raised(module.divide), records
    )
    assert f"{module.__file__}:13;" in describe_defect(_raised(module.ask_the_core), records), (
        "what it called raised"
    )
    assert "defect of pose_core; please report it" in describe_defect(_raised(lambda: 1 / 0), records)


def test_a_defect_in_a_worker_process_is_that_of_its_plugin(make: Make) -> None:
    body = """
from pose_core.hooks import PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="toy", summary="toy", license="MIT", hook_api="1.0")
"""
    records = load_all([make("toy", body=body)], frozenset())
    text = (
        f'Original Traceback:\n  File "{sys.modules[records[0].target].__file__}", line 4, in encode\n    x'
    )
    assert "plugin toy" in describe_defect(RuntimeError(text), records)
