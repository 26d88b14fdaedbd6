"""Reference pages that are made of the code: hooks, interfaces, conformance checks, commands."""

from __future__ import annotations

import inspect
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_core.catalog.kinds import InstalledKind
from pose_core.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "authors" / "examples"

_SECTIONS = ("Args", "Attributes", "Raises", "Returns")


def hooks() -> dict[str, Any]:
    """All hooks by name."""
    from pose_core import hooks as page

    return {name: getattr(page, name) for name in page.HOOKS}


def interfaces() -> dict[str, type]:
    """Map names of the classes that authors derive from to these, as the table of kinds has them."""
    return {kind.interface().__name__: kind.interface() for kind in _installed_kinds()}


def _installed_kinds() -> list[InstalledKind]:
    return [InstalledKind(row) for row in KINDS.values()]


def faults() -> Iterator[str]:
    """What is missing: a hook or interface without a docstring or an example, an example of nothing, a name
    twice.

    An example is the test, too: ``tests/test_docs_generated.py`` runs each, those of hooks through discovery.
    """
    named: Mapping[str, Any] = {**hooks(), **interfaces()}
    for name, thing in named.items():
        if not (inspect.getdoc(thing) or "").strip():
            yield f"{name} has no docstring, of which its page is made"
        if not (EXAMPLES / f"{name}.py").is_file():
            yield f"{name} has no example, which is its test too: write docs/authors/examples/{name}.py"
    for file in sorted(EXAMPLES.glob("*.py")):
        if file.stem not in named:
            yield f"docs/authors/examples/{file.name} is the example of nothing"


def author_pages() -> dict[str, str]:
    """Path in the site -> Markdown: all hooks on a page, a page for each interface, and a list of these."""
    from pose_core.catalog import get_catalog
    from pose_core.hooks import HOOKS, NEEDS

    pages: dict[str, str] = {}
    surface = [
        "# The hooks",
        "All that pose_core asks of a plugin, made of the docstrings of `pose_core/hooks.py`.",
    ]
    surface.append("\n".join(f"- [{name}](#{name}): {_summary(hook)}" for name, hook in hooks().items()))
    for name, hook in hooks().items():
        returned = "one of these" if name == "pose_plugin_info" else "any number of these"
        parts = [f"## {name}", markdown(_doc(hook)), f"It returns {returned}:", _described(HOOKS[name])]
        surface += [*parts, _example(name).replace("## Example", "### Example", 1)]
    pages["authors/hooks.md"] = "\n\n".join(surface)
    for kind in _installed_kinds():
        cls, config = kind.interface(), kind.config_base()
        name = cls.__name__
        parts = [f"# {name}", markdown(_doc(cls)), *_methods(cls, name)]
        parts += [f"## Its config: {config.__name__}", markdown(_doc(config)), *_fields(config)]
        pages[f"authors/interfaces/{name}.md"] = "\n\n".join(
            [*parts, *_methods(config, config.__name__), _example(name)]
        )
    lines = [
        "# Kinds and interfaces",
        "",
        "What the parts of a plugin implement, made of the docstrings:",
        "",
    ]
    lines += [
        f"- [{name}](interfaces/{name}.md): {_summary(cls)}" for name, cls in sorted(interfaces().items())
    ]
    methods = {method.name: method.summary for method in get_catalog().methods()}
    kinds = {name: row.summary for name, row in KINDS.items()}
    for title, words in (("Kinds of components", kinds), ("Methods of models", methods), ("Needs", NEEDS)):
        lines += [
            "",
            f"## {title}",
            "",
            rows(("name", "meaning"), [(f"`{n}`", about) for n, about in words.items()]),
        ]
    pages["authors/reference.md"] = "\n".join(lines)
    return {path: text + "\n" for path, text in pages.items()}


_LEVELS = {
    0: "Level 0: without torch",
    1: "Level 1: on the CPU",
    2: "Level 2: against stored outputs",
    3: "Level 3: precision, compilation, export, GPU",
}


def checks_page() -> str:
    """Each conformance check: name, what it looks at, what it demands."""
    from pose_core.catalog import get_catalog
    from pose_core.testing.checks import every_check

    lines = [
        "# Conformance checks",
        "",
        (
            "What `pose check NAME` and `parametrize_with_checks` ask of a plugin. `--level N` runs the checks "
            "up to"
        ),
        (
            "level N, by default 0 and 1. A check that says nothing about a component is skipped, with the "
            "reason. What"
        ),
        (
            "cannot be met stands in `expected_failures` with its reason, as `name` or `name[kind/component]`. "
            "Made by"
        ),
        "`make tables`.",
    ]
    for level, title in _LEVELS.items():
        chosen = [c for c in every_check(get_catalog().kinds) if c.level == level]
        table = [(f"`{c.name}`", ", ".join(c.on).replace("_", " "), markdown(c.demand)) for c in chosen]
        lines += ["", f"## {title}", "", rows(("check", "of", "demand"), table)]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Each command with its arguments and options, as ``--help`` has them."""
    import typer

    from pose_core.cli.main import app

    group: Any = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "What `pose COMMAND --help` says. Made by `make tables`.",
        "",
    ]
    lines += [
        f"- [pose {name}](#pose-{name}): {_first(command.help)}" for name, command in group.commands.items()
    ]
    functions = {
        c.name or c.callback.__name__: c.callback for c in app.registered_commands if c.callback is not None
    }
    for name, command in group.commands.items():
        kinds = _kinds_of_parameters(functions[name])
        parameters = [p for p in command.params if p.name in kinds]
        arguments = [p for p in parameters if p.param_type_name == "argument"]
        options = [p for p in parameters if p not in arguments]
        usage = ["pose", name, *(_metavar(p, kinds[p.name]) for p in arguments)]
        usage += [f"{p.opts[-1]} {_metavar(p, kinds[p.name])}" for p in options if p.required]
        usage += ["[OPTIONS]"] if any(not p.required for p in options) else []
        help_text = _as_typed(markdown(inspect.cleandoc(command.help or ""))).strip()
        lines += ["", f"## pose {name}", "", help_text, "", f"Usage: `{' '.join(usage)}`"]
        table = [(_spelled(p, kinds[p.name]), _default(p), _sentence(p.help)) for p in (*arguments, *options)]
        lines += ["", rows(("argument or option", "default", "meaning"), table)] if table else []
    return "\n".join(lines) + "\n"


def _kinds_of_parameters(command: Any) -> dict[str, Any]:
    """The type of each parameter of a command, also of those that are made when it is read."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    annotated = {p.name: p.annotation for p in parameters}
    return {
        n: typing.get_args(a)[0] if typing.get_origin(a) is typing.Annotated else a
        for n, a in annotated.items()
    }


def _as_typed(text: str) -> str:
    """Paragraphs that help texts keep as they are (after a backspace) as blocks of what is typed or
    written."""

    def block(found: re.Match[str]) -> str:
        return f"```{'sh' if found[1].startswith('pose ') else 'text'}\n{found[1].rstrip()}\n```\n"

    return re.sub(r"^\x08\n((?:.+(?:\n|$))+)", block, text, flags=re.MULTILINE)


def _metavar(parameter: Any, kind: Any) -> str:
    """What stands for the value: as the command names it, else by its type."""
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    kinds = {kind, *typing.get_args(kind)}
    return next(
        (word for type_, word in ((int, "N"), (float, "NUMBER"), (Path, "PATH")) if type_ in kinds), "TEXT"
    )


def _spelled(parameter: Any, kind: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter, kind)}`"
    names = ", ".join(f"`{o}`" for o in (*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} `{_metavar(parameter, kind)}`"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    return "" if value is None or value == () or getattr(parameter, "is_flag", False) else f"`{value}`"


def _sentence(text: str | None) -> str:
    return markdown(" ".join((text or "").split()))


def _first(text: str | None) -> str:
    return _sentence((text or "").strip().split("\n\n")[0])


def rows(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ["---" for _ in columns], *cells]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)


def literals(text: str) -> str:
    """Roles and doubled backquotes as Markdown's simple ones."""
    return re.sub(r"``([^`]+)``", r"`\1`", re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", text))


def markdown(text: str) -> str:
    """A docstring as Markdown: literals, sections with their entries, indented examples."""
    text = literals(text)
    done: list[str] = []
    section = ""
    for part in re.split(r"\n(?=\S)", text):
        head, _, rest = part.partition("\n")
        if (found := re.fullmatch(rf"({'|'.join(_SECTIONS)}):", head)) is not None:
            section = found[1]
            done += ["", f"**{section}**", "", *_entries(textwrap.dedent(rest), section != "Returns"), ""]
        elif head.endswith("::"):
            done += [f"{head[:-2]}:", "", "```text", textwrap.dedent(rest).strip("\n"), "```", ""]
        else:
            done.append(part)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(done)).strip()


def _entries(text: str, named: bool) -> Iterator[str]:
    """The lines of a section: a list where they have names."""
    for entry in re.split(r"\n(?=\S)", text) if named else re.split(r"\n\n", text):
        line = " ".join(entry.split())
        name, colon, about = line.partition(": ")
        yield f"- `{name}`: {about}" if named and colon and "`" not in name else line


def _doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _summary(thing: Any) -> str:
    return " ".join(markdown(_doc(thing)).split("\n\n")[0].split())


class _Bare(str):
    """An annotation that is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _signature(name: str, thing: Any) -> str:
    """A definition as it would be written, on several lines where it is long."""
    found = inspect.signature(getattr(thing, "__func__", thing))
    bare = [
        p.replace(annotation=_Bare(p.annotation) if isinstance(p.annotation, str) else p.annotation)
        for p in found.parameters.values()
    ]
    shown = [str(p).replace("<factory>", "...") for p in bare]
    returns = found.return_annotation
    after = f" -> {returns}" if isinstance(returns, str) and not inspect.isclass(thing) else ""
    line = f"{name}({', '.join(shown)}){after}"
    if len(line) > 100:
        line = f"{name}(\n" + "".join(f"    {p},\n" for p in shown) + f"){after}"
    return f"```python\n{line}\n```"


def _described(cls: type) -> str:
    return f"{_signature(cls.__name__, cls)}\n\n{markdown(_doc(cls))}"


def _methods(cls: type, name: str) -> Iterator[str]:
    for method, thing in vars(cls).items():
        if method.startswith("_") or not (inspect.isfunction(thing) or isinstance(thing, classmethod)):
            continue
        if not _doc(thing):
            continue
        needed = " (required)" if getattr(thing, "__isabstractmethod__", False) else ""
        yield f"### {name}.{method}{needed}\n\n{_signature(f'def {method}', thing)}\n\n{markdown(_doc(thing))}"


def _fields(config: Any) -> Iterator[str]:
    table = [
        (f"`{name}`", f"`{field.get_default(call_default_factory=True)}`", markdown(field.description or ""))
        for name, field in config.model_fields.items()
        if name != "type"
    ]
    if table:
        yield rows(("field", "default", "meaning"), table)


def _example(name: str) -> str:
    file = EXAMPLES / f"{name}.py"
    about = f"This is `docs/authors/examples/{name}.py`, which a test runs."
    return f"## Example\n\n{about}\n\n```python\n{file.read_text(encoding='utf-8')}```"
