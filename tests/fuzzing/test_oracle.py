"""The judge itself: what it must not let pass."""

from __future__ import annotations

import os
import pickle
import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pose_core.cli import main
from pose_core.errors import ConfigError

from . import oracle
from .hdf import Bomb
from .mutate import spoil_bytes, spoil_csv, spoil_json, spoil_yaml
from .odd import RAW_JSON, RAW_YAML, odd_values
from .oracle import TRACE, Example, fuzz, pose, problem


def _say(*lines: str, code: int = 2) -> None:
    print("\n".join(lines), file=sys.stderr)
    sys.exit(code)


def _refuse() -> None:
    raise ConfigError("/tmp/a.yaml: line 3: wrong")


def _raise() -> None:
    raise KeyError("a")


def _hang() -> None:
    while True:
        time.sleep(0.01)


def _fill() -> None:
    bytearray(2 * oracle.MEMORY)


def _explode() -> None:
    pickle.loads(pickle.dumps(Bomb()))


def _warn() -> None:
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (_refuse, ""),
        (lambda: print("fine"), ""),
        (lambda: _say("note: a", "error: train.epochs: is wrong"), ""),
        (_raise, "KeyError: 'a'"),
        (_hang, "took more than 0.2 s"),
        (_fill, "MemoryError"),
        (_explode, "code of the file was run"),
        (_warn, "a warning of Python: RuntimeWarning: overflow"),
        (lambda: _say("error: a: one", "error: a: two"), "not one line"),
        (lambda: _say("error: a: one", "libpng error"), "not one line"),
        (lambda: os.write(2, b"from C\n") and _refuse(), "not one line"),
        (lambda: _say("error: "), "not one line"),
        (lambda: _say("error: a: ValueError('x')"), "names an exception"),
        (lambda: _say("error: Something is wrong"), "names neither file nor key"),
        (lambda: _say("error: a: \x1b[31mred"), "not a line to read"),
        (lambda: _say("error: a: " + "x" * 5000), "not a line to read"),
        (lambda: _say("Traceback (most recent call last):", code=0), "not one line"),
        (lambda: _say("bye", code=1), "exit code 1"),
    ],
)
def test_what_passes_and_what_does_not(
    command: Callable[[], object], wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "app", command)
    monkeypatch.setattr(oracle, "SECONDS", 0.2 if command is _hang else 30.0)
    found = problem(pose(["x"], tmp_path), tmp_path)
    assert wrong in found
    assert bool(found) == bool(wrong), found


def test_a_failing_example_is_kept_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(rng: random.Random, folder: Path) -> Example:
        (folder / "a.txt").write_text(str(rng.random()))
        return Example([folder / "a.txt"], "text")

    monkeypatch.setattr(main, "app", _raise)
    monkeypatch.setattr(oracle, "KEPT", tmp_path / "kept")
    (tmp_path / "scratch").mkdir()
    tally = fuzz("toys", range(3), make, tmp_path / "scratch")
    assert tally.ends == {"failure": 3}
    assert "POSE_FUZZ=2 " in tally.failures[2]
    first = (tmp_path / "kept/toys-2/a.txt").read_text()
    monkeypatch.setenv("POSE_FUZZ", "2")
    assert len(fuzz("toys", range(3), make, tmp_path / "scratch").failures) == 1
    assert (tmp_path / "kept/toys-2/a.txt").read_text() == first
    monkeypatch.setenv("POSE_FUZZ", "/4")
    assert list(oracle.chosen(range(1, 10))) == [1, 5, 9]
    with pytest.raises(AssertionError, match=r"3 examples failed.*(?s:.)*toys 0 \(text\)"):
        oracle.check(tally)


def test_what_is_spoilt_is_spoilt_the_same_way_again() -> None:
    tree = {"a": [1, 2.5, "x"], "b": {"type": "unet", "c": None}}
    for spoil in (spoil_yaml, spoil_json):
        made = [spoil(tree, random.Random(n)) for n in range(300)]
        assert made == [spoil(tree, random.Random(n)) for n in range(300)]
        assert len(set(made)) > 200
    assert tree == {"a": [1, 2.5, "x"], "b": {"type": "unet", "c": None}}
    table = b"a,b\n1,2\n3,4\n"
    assert len({spoil_csv(table, random.Random(n)) for n in range(300)}) > 200
    assert len({spoil_bytes(table, random.Random(n)) for n in range(300)}) > 200


def test_bombs_are_among_what_is_written() -> None:
    written = b"".join(spoil_yaml({"a": 1, "b": {"c": 2}}, random.Random(n)) for n in range(2000))
    assert all(piece.encode() in written for piece in RAW_YAML if TRACE in piece)
    written = b"".join(spoil_json({"a": 1, "b": {"c": 2}}, random.Random(n)) for n in range(2000))
    assert all(piece.encode() in written for piece in RAW_JSON if len(piece) < 1000)
    assert odd_values()[-1] is not odd_values()[-1]
