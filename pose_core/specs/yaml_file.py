"""YAML files: read strictly, errors named by path and line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from pose_core.catalog.merge import ContentDict
from pose_core.definitions import Content
from pose_core.errors import ConfigError
from pose_core.io.text_files import describe_not_utf8
from pose_core.specs.base import Spec
from pose_core.specs.run import RUN_SPECS, AnyRunSpec, RunSpec, with_stages
from pose_core.specs.validation_errors import Loc, describe_errors

S = TypeVar("S", bound=Spec)


# Far more than any configuration needs, and far below Python's limit of recursion, which every function
# that walks through the content would meet.
_DEPTH = 50
# Aliases of aliases grow exponentially ("billion laughs"): a few lines of text would fill the memory.
_REPETITION = 20


class UnusableYamlError(yaml.YAMLError):
    """YAML by its grammar, and nothing that can be used.

    Attributes:
        problem: why, a few words.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = " ".join(problem.split())[:200]


def parse_yaml(text: str, loader: type[yaml.SafeLoader] | type[yaml.BaseLoader] = yaml.SafeLoader) -> Any:
    """Parse YAML into mappings, lists and plain values; nothing in it is run.

    Aliases may repeat a part, but not without end: of a text that they blow up (or that holds itself), the
    first function that walks through the content would never come back.

    Args:
        text: of one document.
        loader: a loader that makes plain values only.

    Raises:
        yaml.YAMLError: the text is no YAML, or cannot be used; ``problem`` says why, ``problem_mark`` where.
    """
    # Step by step instead of yaml.load, to look at the nodes before content is made of them.
    parser = loader(text)
    try:
        node = parser.get_single_node()
        distinct: dict[int, int] = {}
        if node is None:
            return None
        if _count_nodes(node, distinct, 0) > _REPETITION * (len(distinct) + 100):
            raise UnusableYamlError("its aliases repeat too much; write out what they stand for")
        return parser.construct_document(node)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise UnusableYamlError("nested too deeply") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        # PyYAML lets through whatever int(), datetime() and the like think of a value with an explicit tag.
        raise UnusableYamlError(f"a value is not what it says it is ({error})") from None
    finally:
        parser.dispose()


def _count_nodes(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Number of nodes, those behind aliases counted as often as they are named."""
    if depth > _DEPTH:  # a node that holds itself has no depth
        raise UnusableYamlError("nested too deeply")
    # An alias is the same node object, so each is counted once and added as often as it is named.
    if id(node) not in known:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_count_nodes(each, known, depth + 1) for each in inner)
    return known[id(node)]


def read_yaml(path: Path) -> tuple[ContentDict, dict[Loc, int]]:
    """A YAML mapping and the line of each of its keys.

    Returns:
        the content, and for each path of keys (``("model", "backbone")``) its line, from 1.

    Raises:
        ConfigError: the file is missing, no YAML, not a mapping, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: {describe_not_utf8(path)}") from None
    try:
        content = parse_yaml(text)
        # Once more, for the lines: making the content moves what '<<' names into the nodes.
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        # Only marked errors have it, and PyYAML raises others too.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path}: not valid YAML: {getattr(error, 'problem', error)}{where}") from None
    if content is None:
        return {}, {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a mapping (key: value), not {type(content).__name__}")
    lines: dict[Loc, int] = {}
    _collect_lines(node, (), lines, path)
    return content, lines


def _collect_lines(node: yaml.Node | None, at: Loc, lines: dict[Loc, int], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # By nodes, since the dict has lost duplicates: PyYAML keeps the last of them in silence.
            loc = (*at, str(key.value))
            if loc in lines:
                raise ConfigError(
                    f"{path}: {'.'.join(map(str, loc))} is given twice "
                    f"(lines {lines[loc]} and {key.start_mark.line + 1})"
                )
            lines[loc] = key.start_mark.line + 1
            _collect_lines(value, loc, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _collect_lines(value, (*at, index), lines, path)


def read_run(path: Path) -> AnyRunSpec:
    """Read the configuration of a run.

    Raises:
        ConfigError: it does not say what its network learns; else as :func:`validate`.
    """
    content, lines = read_yaml(path)
    trains = content.get("trains")
    kind = RUN_SPECS.get(trains) if isinstance(trains, str) else None
    if kind is None:
        raise ConfigError(f"{path}: trains: must be {' or '.join(RUN_SPECS)}, not {trains!r}")
    return validate_as(
        content, {loc: f"{path.name} line {line}" for loc, line in lines.items()}, str(path), kind
    )


def validate(content: Content, origin: Mapping[Loc, str], source: str = "") -> RunSpec:
    """Check a complete mapping against the spec of a run; see :func:`validate_as`."""
    return validate_as(content, origin, source, RunSpec)


def validate_as(content: Content, origin: Mapping[Loc, str], source: str, kind: type[S]) -> S:
    """Check a complete mapping against a spec.

    Args:
        content: of the whole run.
        origin: for paths of keys, where they were written (``config.yaml line 14``, an assignment, or a
            :class:`pose_core.specs.validation_errors.OptionName`).
        source: file to name first in messages; may be empty.
        kind: of spec.

    Raises:
        ConfigError: one line; names the path of the key, what is allowed, and where it was written.
    """
    if issubclass(kind, RunSpec):
        content = with_stages(content)  # so that messages about them know which component they are
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(describe_errors(error, content, origin, source, kind)) from None
