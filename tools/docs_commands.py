"""The command lines of the documentation, compared with the commands, options and names that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_OPERATORS = {"|", "||", "&&", ";"}


class Fault(Exception):
    """What is wrong with a block, in one line."""


def commands(body: str) -> Iterator[list[str]]:
    """The single commands of lines to type, without comments and redirections."""
    for line in re.sub(r"\\\n\s*", " ", body).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise Fault(f"{line!r} is no shell command: {error}") from None
        command: list[str] = []
        skip = False
        for word in [*words, ";"]:
            if word in _OPERATORS:
                if command:
                    yield command
                command = []
            elif set(word) <= {">", "<", "&"}:
                skip = True
            elif skip:
                skip = False
            else:
                command.append(word)


def parse(arguments: list[str], *, whole: bool = True) -> Mapping[str, Any]:
    """The values of a ``pose`` command line, which is not carried out.

    Args:
        arguments: after ``pose``.
        whole: whether arguments that are needed must be there.

    Raises:
        Fault: there is no such command or option, or too many or too few arguments are given.
    """
    import typer

    from pose_core.cli.main import app

    group: Any = typer.main.get_command(app)
    name, *rest = arguments or [""]
    if name in ("-h", "--help", "--version"):
        return {}
    if name not in group.commands:
        raise Fault(f"pose has no command {name!r}; there are {', '.join(sorted(group.commands))}")
    command = group.commands[name]
    if {"-h", "--help"} & set(rest):
        return {}
    try:
        values: Mapping[str, Any] = command.make_context(name, list(rest), resilient_parsing=not whole).params
    except Exception as error:  # typer brings its own copy of click, whose exceptions have no public name
        if not hasattr(error, "format_message"):
            raise
        raise Fault(f"pose {shlex.join(arguments)}: {error.format_message()}") from None
    return values


def names_exist(command: str, values: Mapping[str, Any]) -> None:
    """Models, detectors, formats and settings that a command line names are known. Raises PoseError where
    not."""
    from pose_core.catalog import get_catalog
    from pose_core.catalog.merge import merge
    from pose_core.specs.resolve import Layer, parse_assignments

    catalog = get_catalog()
    assignments = list(values.get("assignments") or ())
    detector = values.get("detector")
    if command == "train":
        trained = not (isinstance(detector, str) and re.fullmatch(r"[a-z]\w*", detector))
        if not trained:
            catalog.component("detector", str(detector))
        if values.get("model"):
            user, centroid = parse_assignments(assignments), values.get("centroid")
            # As 'pose train' does where it trains the centroid model, too.
            if isinstance(centroid, str) and centroid in {m.name for m in catalog.models()}:
                (named,) = catalog.model(centroid)
                stage = merge(named.spec(), {"model": {"name": named.full_name, "method": named.method}})
                below = {"stages": {"centroid": stage}, "model": {"preprocess": {"extent": "auto"}}}
                user = Layer(merge(below, user.content))
            resolves(values["model"], user, detector=None if trained else detector)
    elif command == "predict" and not str(values["format"]).startswith("{"):
        catalog.component("writer", values["format"])
    elif command == "import":
        catalog.component("importer", values["importer"])


def resolves(model: str | None, *user: Any, detector: str | None = None) -> None:
    """A configuration on top of a named model is valid for a project of one animal, or of several (with names
    or without)."""
    from pose_core.errors import PoseError
    from pose_core.specs.resolve import Layer, choose_model, resolve

    one: dict[str, Any] = {"skeleton": {"keypoints": ["nose", "tail"]}, "data": {"source": "somewhere"}}
    two = {**one, "skeleton": {**one["skeleton"], "individuals": ["one", "two"]}}
    named = {**two, "skeleton": {**two["skeleton"], "identified": True}}
    projects = (one, two, named)
    layers = [
        *([Layer({"stages": {"detector": {"network": {"type": detector}}}})] if detector else []),
        *user,
    ]
    for data in projects:
        try:
            resolve(choose_model(model, multi_animal=data is not one) if model else None, Layer(data), layers)
        except PoseError:
            if data is projects[-1]:
                raise
        else:
            return


def inline_faults(text: str, page: str) -> Iterator[str]:
    """What is wrong with commands and options within the text, such as ``pose models --json`` between
    backquotes."""
    import typer

    from pose_core.cli.main import app

    group: Any = typer.main.get_command(app)
    options = {
        o for c in group.commands.values() for p in c.params for o in (*p.opts, *p.secondary_opts)
    } | _FOREIGN
    for found in _INLINE.finditer(FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)):
        span = " ".join(found[1].split())
        where = f"{page}:{text.count(chr(10), 0, found.start()) + 1}"
        words = [w.strip("[]") for w in span.split() if w.strip("[].")]
        if words[:1] == ["pose"] and len(words) > 1 and not words[1].isupper():
            if words[1] not in {*group.commands, "-h", "--help", "--version"}:
                yield f"{where}: `{span}`: pose has no command {words[1]!r}"
                continue
            allowed = {
                o
                for p in getattr(group.commands.get(words[1]), "params", ())
                for o in (*p.opts, *p.secondary_opts)
            }
            allowed |= {"-h", "--help", "--version"}
        elif words[:1] and words[0].startswith("--"):
            allowed = options
        else:
            continue
        for word in words:
            if word.startswith("--") and word.partition("=")[0] not in allowed:
                yield f"{where}: `{span}`: there is no option {word}"


_FOREIGN = {"--help", "--directory", "--group", "--editable", "--no-build-isolation"}
"""Options of other programs that stand by themselves in the text."""
