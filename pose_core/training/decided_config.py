"""The configuration of a training before it starts: every key with what it means and where it comes from."""

from __future__ import annotations

import importlib.metadata
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pose_core.errors import ConfigError, argument, command, readable
from pose_core.escapes import escape_line
from pose_core.io.files import disk_errors, make_folder, write_whole
from pose_core.reporting import current_reporter
from pose_core.runs.run_folder import list_content
from pose_core.specs import AnyRunSpec
from pose_core.specs.key_meanings import list_keys
from pose_core.specs.resolve import write_value
from pose_core.training.config_sources import Sources
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.prepared import Prepared

_WIDTH = 110


@dataclass(frozen=True)
class ConfigKey:
    """A key of a configuration that is decided.

    Attributes:
        loc: its path.
        value: plain; for a section what it holds.
        meaning: a sentence or two.
        source: where the value comes from; empty for a section.
    """

    loc: tuple[str, ...]
    value: Any
    meaning: str
    source: str


@dataclass(frozen=True)
class DecidedConfig:
    """The whole configuration of a training that has not started.

    Attributes:
        spec: the configuration, every ``auto`` that the labels decide decided.
        keys: each key, sections before what they hold, in the order of the file.
        notes: what the training would say before it starts, a line each.
        command: that trains it, with FILE in the place of the configuration's file.
    """

    spec: AnyRunSpec
    keys: tuple[ConfigKey, ...]
    notes: tuple[str, ...]
    command: str

    def to_yaml(self) -> str:
        """Write a configuration file that trains as it stands; each key has its explanation above it."""
        version = importlib.metadata.version("pose-core")
        head = [
            f"Configuration of {self.spec.name}, decided by pose_core {version}. To train it:",
            f"    {self.command}",
            "Above each key stands what it means, and in brackets where its value comes from.",
        ]
        return "".join(f"# {escape_line(line)}\n" for line in head) + "".join(map(_write_key, self.keys))


def make_config(
    project: Path | str,
    model: str | None = None,
    *,
    out: Path | str | None = None,
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    epochs: int | None = None,
    max_time: float | str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    precision: str | None = None,
    seed: int | None = None,
    keypoints: Sequence[str] | None = None,
    test_data: Path | str | None = None,
    replay: bool = False,
    **networks: Path | str | None,
) -> DecidedConfig:
    """Decide the whole configuration of a training without starting it; ``pose config`` in Python.

    Args:
        project, model, config, settings, weights, epochs, max_time, batch_size, device, devices, nodes, precision,
            seed, keypoints, test_data, replay, networks: as of :func:`pose_core.train`.
        out: file that gets the configuration as YAML, to be changed by hand and given to ``config`` of
            :func:`pose_core.train`.

    Returns:
        the configuration, each key with its meaning and source.

    Raises:
        PoseError: the project, a name or a setting cannot be used, or ``out`` cannot be written.
    """
    found = decide_config(
        Path(project),
        model,
        networks={name: str(given) for name, given in networks.items() if given is not None},
        config=None if config is None else Path(config),
        assignments=[f"{key}={write_value(value)}" for key, value in (settings or {}).items()],
        options=TrainOptions(
            weights=weights,
            epochs=epochs,
            max_time=max_time,
            batch_size=batch_size,
            device=device,
            devices=devices,
            nodes=nodes,
            precision=precision,
            seed=seed,
            keypoints=keypoints,
            test_data=test_data,
            replay=replay,
        ),
        out=None if out is None else Path(out),
    )
    for note in found.notes:
        current_reporter().note(f"note: {readable(note)}")
    return found


def decide_config(
    project: Path,
    model: str | None,
    *,
    networks: Mapping[str, str],
    config: Path | None,
    assignments: Sequence[str],
    options: TrainOptions,
    out: Path | None,
) -> DecidedConfig:
    """Decide a configuration, and write it where ``out`` says; see :func:`make_config`.

    Raises:
        PoseError: as there.
    """
    prepared = prepare(
        project, model, networks=networks, config=config, assignments=assignments, options=options
    )
    decided = _decide(prepared, project, networks, out)
    if out is not None:
        if out.is_dir():
            raise ConfigError(
                f"{argument('out', str(out))}: is a folder; name a file, such as {out / 'config.yaml'}"
            )
        with disk_errors(out, "name another place"):
            make_folder(out.parent)
            write_whole(out, decided.to_yaml())
    return decided


def _decide(
    prepared: Prepared[AnyRunSpec], project: Path, networks: Mapping[str, str], out: Path | None
) -> DecidedConfig:
    spec, content = prepared.spec, list_content(prepared.spec)
    trained = {name: networks[name] for name in prepared.trained}
    # A trained network is copied and not trained again: its section may not be changed, and so is not there.
    if trained:
        content["stages"] = {n: s for n, s in content["stages"].items() if n not in trained}
    find = Sources(prepared)
    keys = [
        ConfigKey(key.loc, key.value, key.meaning, "" if key.is_section else find.name(key))
        for key in list_keys(content, type(spec))
    ]
    sources = (argument(name, folder) for name, folder in trained.items())
    file = argument("config", str(out) if out is not None else "FILE")
    train = command("train", str(project), file, *sources, argument("out", "RUN")).strip("'")
    return DecidedConfig(spec, tuple(keys), prepared.notes, train)


def _write_key(key: ConfigKey) -> str:
    """Write the lines of a key: what it means, where it comes from, and its value."""
    # A blank line before each section at the top.
    before = "\n" if len(key.loc) == 1 and not key.source else ""
    indent = "  " * (len(key.loc) - 1)
    about = " ".join(filter(None, (key.meaning, f"[{key.source}]" if key.source else "")))
    comment = textwrap.wrap(
        escape_line(about), _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False
    )
    lines = [f"{indent}# {line}\n" for line in comment]
    value = f" {_write_value(key.value)}" if key.source else ""
    return before + "".join(lines) + f"{indent}{_write_value(key.loc[-1])}:{value}\n"


def _write_value(value: object) -> str:
    """Write a value on one line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=float("inf")
    )
    # A plain value by itself is a document that PyYAML ends.
    return text.removesuffix("\n").removesuffix("\n...").replace("\n", " ")
