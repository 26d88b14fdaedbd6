"""Choose the split that a labelled project brings with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose_core.data.projects import find_splits, read_split
from pose_core.errors import ConfigError, listed, setting
from pose_core.specs import ReaderConfig, SplitSpec
from pose_core.structures import ProjectSplit

AUTO = "auto"


@dataclass(frozen=True)
class ChosenSplit:
    """The split of the project that a training takes.

    Attributes:
        name: of the split; None where the images are divided in another way.
        split: what it holds; None likewise.
        why: why it is this one; empty where the user named it.
    """

    name: str | None
    split: ProjectSplit | None = None
    why: str = ""


def choose_project_split(path: Path, reader: ReaderConfig | None, spec: SplitSpec) -> ChosenSplit:
    """Choose among the splits that a project brings, and read the one that is taken.

    Args:
        path: the labelled project.
        reader: of the project; found by looking where it is None.
        spec: what is asked for: ``name`` is ``auto``, a name, the end of one, or None.

    Raises:
        ConfigError: the project has no split of that name, or several names end so.
        DataError: the split cannot be read.
    """
    if spec.name is None or spec.file is not None:
        return ChosenSplit(None)
    there = find_splits(path, reader)
    if spec.name == AUTO:
        if not there:
            return ChosenSplit(None)
        others = f"the newest of {len(there)} that the project has" if len(there) > 1 else "the project's own"
        why = f"{others}; {setting('data.split.test=0.2')} draws one by fractions instead"
        if len(there) > 1:
            why += f", {setting('data.split.name=NAME')} takes another: {listed(there[:-1], ', ')}"
        return ChosenSplit(there[-1], read_split(path, there[-1], reader), why)
    name = _find(spec.name, there, path)
    return ChosenSplit(name, read_split(path, name, reader))


def _find(asked: str, there: tuple[str, ...], path: Path) -> str:
    if asked in there:
        return asked
    if not there:
        raise ConfigError(f"data.split.name: {asked!r}: {path} brings no split; leave the key out")
    ending = [name for name in there if name.endswith(asked)]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise ConfigError(
            f"data.split.name: {asked!r} is the end of several splits of {path}: {listed(ending, ', ')}; write "
            "one of them whole"
        )
    raise ConfigError(f"data.split.name: {path} has no split {asked!r}; it has {listed(there, ', ')}")
