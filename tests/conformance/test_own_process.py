"""Programs of checks have a process to themselves, whether it is started anew or forked."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pose_core.testing.checks import own_process
from pose_core.testing.checks.own_process import run_program

IMPORTED = ("json", "random")


@pytest.fixture(params=["forked", "started"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux, and as elsewhere."""
    if request.param == "started":
        monkeypatch.setattr(own_process, "_FORKS", False)
    elif sys.platform != "linux":
        pytest.skip("only Linux forks")


def test_a_program_finds_what_this_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_module_of_nobody.py").write_text("value = 7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("A_VARIABLE", "é")
    monkeypatch.chdir(tmp_path)
    program = """
import a_module_of_nobody, os, sys
print(a_module_of_nobody.value, os.environ["A_VARIABLE"], os.getcwd())
print(repr(sys.stdin.read()), file=sys.stderr)
"""
    done = run_program(program, IMPORTED)
    assert (done.returncode, done.stdout.split()) == (0, ["7", "é", str(tmp_path)])
    assert done.stderr == "''\n"


def test_programs_do_not_see_each_other() -> None:
    program = """
import sys
print("json" in sys.modules, "wave" in sys.modules, sys.getrecursionlimit())
import wave
sys.setrecursionlimit(4321)
"""
    first, second = (run_program(program, IMPORTED).stdout for _ in range(2))
    assert first == second
    assert first.startswith("True False ")
    assert "4321" not in first


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("raise ValueError('wrong')", 1, "ValueError: wrong"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_how_a_program_ends_is_known(program: str, code: int, said: str) -> None:
    done = run_program(program, IMPORTED)
    assert done.returncode == code
    assert said in done.stderr
    assert run_program("print('next')", IMPORTED).stdout == "next\n"


def test_a_module_that_cannot_be_imported_is_named() -> None:
    for _ in range(2):
        done = run_program("", ("json", "no_module_of_this_name"))
        assert done.returncode != 0
        assert "No module named 'no_module_of_this_name'" in done.stderr


def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_program("", IMPORTED)
    monkeypatch.setattr(own_process, "_SECONDS", 1.0)
    pid = tmp_path / "pid"
    program = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(program, IMPORTED)
    # Killed, which takes a moment; on a busy machine it had not even begun.
    while pid.exists() and _runs(int(pid.read_text())):
        continue
    monkeypatch.undo()
    assert run_program("print('next')", IMPORTED).stdout == "next\n"


def test_a_program_that_was_interrupted_does_not_answer_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(own_process.select, "select", interrupt)
        # One that is started anew does not wait in it.
        with suppress(KeyboardInterrupt):
            run_program("print('first')", IMPORTED)
    assert run_program("print('second')", IMPORTED).stdout == "second\n"


def _runs(pid: int) -> bool:
    """Whether a process runs, and has not just ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
