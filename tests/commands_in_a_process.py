"""Many ``pose`` commands in one process, and a look at every model: run by tests in environments of their
own.

``python commands_in_a_process.py QUESTIONS.json ANSWERS.json``. It imports nothing of the tests: it runs
where only the core and some plugins are installed.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from pose_core.cli.main import run


def command(arguments: list[str]) -> dict[str, Any]:
    """What ``pose ARGUMENTS`` prints, and its exit code; a traceback goes where a user would see it."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["pose", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
    return {"arguments": arguments, "code": code, "out": out.getvalue(), "err": err.getvalue()}


def models_that_do_not_work(project: dict[str, Any]) -> list[str]:
    """Each listed model is resolved against an ordinary project, and built without memory for its weights."""
    import torch

    from pose_core.catalog import get_catalog
    from pose_core.model.build import build_model
    from pose_core.specs.resolve import Layer, resolve

    wrong = []
    for model in get_catalog().models():
        several: dict[str, Any] = {}
        if model.method != "single_animal":
            several = {"individuals": ["one", "two"], "identified": bool(model.skeleton_needs)}
        data = Layer({**project, "skeleton": {**project["skeleton"], **several}})
        try:
            spec = resolve(model, data, [])
            with torch.device("meta"):
                build_model(spec)
        except Exception as error:
            wrong.append(f"{model.name} ({model.method}): {type(error).__name__}: {error}")
    return wrong


def main(questions: Path, answers: Path) -> None:
    """Answer the questions in a file."""
    asked = json.loads(questions.read_text())
    found: dict[str, Any] = {"commands": [command(arguments) for arguments in asked["commands"]]}
    found["lists without torch"] = "torch" not in sys.modules
    found["refused"] = [command(arguments) for arguments in asked["refused"]]
    found["wrong models"] = models_that_do_not_work(asked["project"])
    answers.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
