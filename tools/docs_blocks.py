"""The code blocks of the documentation, and the rule by which each kind is checked.

A block's first line says what it is; a block that no rule covers is a fault, so nothing in the docs stays
untested:

==============================
======================================================================================= ``sh``
                                         typed: each ``pose`` command must be one that the program takes, with
                                             every option and argument; ``--model`` and ``--set`` name what
                                             there is; ``make`` targets and scripts
                                exist. With ``fails="..."`` the commands are run by the page's test and must
                                fail so.
``yaml``                        what ``pose train --config`` takes, alone or on top of a named model
``yaml title="project.yaml"``   the core's labelled project, with the ``csv title="labels.csv"`` of the same
page ``yaml title="split.yaml"``     a list of images, ``data.split.file``
``python``                      compiles, and every name in it is defined, imported or one of :data:`GIVEN`;
                                imports of ``pose_core`` are carried out. What defines hooks is run through
                                discovery.
``toml``                        TOML; entry points are those of plugins
``text``                        what a program prints, or a sketch: it must not hold commands. With
                                ``of="pose models"`` what that command prints; ``...`` stands for any lines
any with another ``title``      a file of a guide, which its page's test writes and runs
==============================
=======================================================================================

``python tools/docs_blocks.py FILE...`` prints the faults, for plugins outside this repository.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs_commands import FENCE, Fault, commands, names_exist, parse, resolves
from docs_python import check_python

PROGRAMS = {
    "cd",
    "cookiecutter",
    "export",
    "git",
    "grep",
    "pip",
    "pose-run",
    "pytest",
    "source",
    "towncrier",
    "twine",
}
"""What a page may type beside ``pose``, ``make`` and ``python``; nothing is checked about these."""

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, as it is called in messages.
        line: of its first fence, from 1.
        language: first word after the fence.
        title: name of the file that it is; empty for others.
        fails: part of the message with which its commands fail; empty where they do not.
        of: the command that prints it; empty where that is not looked at.
        body: without the fences.
    """

    page: str
    line: int
    language: str
    title: str
    fails: str
    of: str
    body: str

    @property
    def where(self) -> str:
        """``docs/use/train.md:51``."""
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str = "") -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in FENCE.finditer(text):
        info, indent = found["info"], len(found["indent"])
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', info))
        line = text[: found.start()].count("\n") + 1
        body = "".join(
            row[indent:] if row.strip() else "\n" for row in found["body"].splitlines(keepends=True)
        )
        language = info.strip().partition(" ")[0]
        yield Block(
            page,
            line,
            language,
            attributes.get("title", ""),
            attributes.get("fails", ""),
            attributes.get("of", ""),
            body,
        )


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a file."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    return list(blocks_of(path.read_text(encoding="utf-8"), name))


def check(block: Block, page: list[Block], *, names: bool = True) -> None:
    """Apply the rule of a block.

    Args:
        block: one of ``page``.
        page: all blocks of its page.
        names: whether models and components that it names are installed here.

    Raises:
        Fault: the block is not what its rule demands, or no rule covers it.
    """
    rules = {"sh": _typed, "python": _python, "toml": _toml, "text": _printed, "yaml": _yaml, "csv": _csv}
    rule = rules.get(block.language)
    if rule is None:
        raise Fault(
            f"{block.where}: unknown block {block.language!r}: begin it with sh (typed), text (printed), "
            f"{', '.join(sorted(rules))}, or give it a title if it is a file"
        )
    try:
        rule(block, page, names)
    except Fault as fault:
        raise Fault(f"{block.where}: {fault}") from None


def _typed(block: Block, page: list[Block], names: bool) -> None:
    from pose_core.errors import PoseError

    for command in commands(block.body):
        program, *arguments = command
        if program == "pose":
            try:
                values = parse(arguments)
                if names and not block.fails:
                    names_exist(arguments[0], values)
            except PoseError as error:
                raise Fault(f"{shlex.join(command)}: {error}") from None
        elif program == "make":
            targets = set(
                re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            )
            if unknown := {a for a in arguments if "=" not in a} - targets:
                raise Fault(f"the Makefile has no target {', '.join(sorted(unknown))}")
        elif program in ("python", "python3"):
            script = arguments[0]
            written = {b.title for b in page}
            if script.endswith(".py") and script not in written and not (ROOT / script).is_file():
                raise Fault(f"there is no script {script}")
        elif program not in PROGRAMS and not program.startswith((".venv/", ".ci/")):
            raise Fault(
                f"{shlex.join(command)}: unknown program; what is printed belongs into a block of text"
            )


def _python(block: Block, page: list[Block], names: bool) -> None:
    before = [b.body for b in page[: page.index(block)] if b.language == "python" and not b.title]
    check_python(block.body, bool(block.title), before)


def _yaml(block: Block, page: list[Block], names: bool) -> None:
    import yaml

    from pose_core.errors import PoseError
    from pose_core.specs.resolve import read_layer

    if block.title == "project.yaml":
        _project(page)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "block.yaml"
        file.write_text(block.body, encoding="utf-8")
        try:
            if block.title == "split.yaml":
                from pose_core.data.split import read_split_lists

                read_split_lists(file)
                return
            layer = read_layer(file)
            if names:
                model = layer.content.get("model", {})
                whole = {"backbone", "heads"} <= set(model) and "type" in model["backbone"]
                base = None if whole else "top_down_unet" if "stages" in layer.content else "unet"
                resolves(base, layer)
        except (PoseError, yaml.YAMLError) as error:
            raise Fault(str(error).replace(f"{file} ", "")) from None


def _csv(block: Block, page: list[Block], names: bool) -> None:
    if block.title == "labels.csv":
        _project(page)
    elif block.title == "corrections.csv":
        _corrections(block)
    elif not block.title:
        raise Fault("a table needs a title, the name of the file that it is")


def _corrections(block: Block) -> None:
    """The rows are read as ``pose track --fix`` does."""
    from pose_core.errors import PoseError
    from pose_core.tracking.corrections import find_corrections

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / block.title
        path.write_text(block.body, encoding="utf-8")
        try:
            find_corrections(path)
        except PoseError as error:
            raise Fault(str(error)) from None


def _project(page: list[Block]) -> None:
    """The page's project.yaml and labels.csv are read as a project, images being grey."""
    import cv2
    import numpy as np

    from pose_core.data.projects import read_project
    from pose_core.errors import PoseError

    files = {b.title: b.body for b in page if b.title in ("project.yaml", "labels.csv")}
    if len(files) < 2:
        raise Fault("project.yaml and labels.csv belong together")
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            (Path(folder) / name).write_text(body, encoding="utf-8")
        for image in {row.partition(",")[0] for row in files["labels.csv"].splitlines()[1:]}:
            (Path(folder) / image).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(Path(folder) / image), np.full((240, 320, 3), 128, np.uint8))
        try:
            read_project(Path(folder), None)
        except PoseError as error:
            raise Fault(str(error).replace(folder, "")) from None


def _toml(block: Block, page: list[Block], names: bool) -> None:
    from pose_core.hooks import ENTRY_POINT_GROUP

    try:
        content = tomllib.loads(block.body)
    except tomllib.TOMLDecodeError as error:
        raise Fault(str(error)) from None
    groups = content.get("project", {}).get("entry-points", {})
    if unknown := set(groups) - {ENTRY_POINT_GROUP}:
        raise Fault(f"entry points of plugins are in the group {ENTRY_POINT_GROUP}, not {', '.join(unknown)}")


def _printed(block: Block, page: list[Block], names: bool) -> None:
    if found := re.search(r"^\s*(?:\$ )?(?:pose|make|pip|python) \S.*$", block.body, re.MULTILINE):
        raise Fault(f"what is typed belongs into a block of sh: {found[0].strip()}")
    if block.of in LISTINGS:
        from typer.testing import CliRunner

        from pose_core.cli.main import app

        printed(block, CliRunner().invoke(app, block.of.split()[1:]).output)


LISTINGS = {"pose detectors", "pose models", "pose writers"}
"""Commands whose output is compared at once; that of others by the page's test, which carries them out."""


def printed(block: Block, output: str) -> None:
    """The lines of the block, but for their spacing, are among those of the output.

    Raises:
        Fault: one is not.
    """
    known = {" ".join(line.split()) for line in output.splitlines()}
    wanted = [" ".join(line.split()) for line in block.body.splitlines() if line.strip() not in ("", "...")]
    if missing := [line for line in wanted if line not in known]:
        raise Fault(f"{block.of} does not print {missing[0]!r}")


def main(paths: list[str]) -> int:
    """Print what is wrong with the blocks of some files."""
    faults = 0
    for path in map(Path, paths):
        page = blocks(path)
        for block in page:
            try:
                check(block, page)
            except Fault as fault:
                faults += 1
                print(fault)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
