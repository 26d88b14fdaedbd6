"""The ``pose`` command: puts the commands together and turns expected failures into one line.

Command modules import what is heavy inside their functions, so that ``pose --help`` and the listings stay
fast.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
from pathlib import Path

import typer

from pose_core import __version__, escapes
from pose_core.cli.adapt import adapt
from pose_core.cli.check import check
from pose_core.cli.cite import cite
from pose_core.cli.compare import compare
from pose_core.cli.config import config
from pose_core.cli.contributed import PoseCommands
from pose_core.cli.demo import demo
from pose_core.cli.evaluate import evaluate
from pose_core.cli.export import export
from pose_core.cli.filter import filter_
from pose_core.cli.import_ import import_
from pose_core.cli.inspect import inspect
from pose_core.cli.licenses import licenses
from pose_core.cli.models import detectors, engines, exporters, filters, models, runtimes, trackers, writers
from pose_core.cli.plot import plot
from pose_core.cli.plugins import plugins
from pose_core.cli.predict import predict
from pose_core.cli.render import render
from pose_core.cli.schema import schema
from pose_core.cli.show import show
from pose_core.cli.show_batch import show_batch
from pose_core.cli.show_maps import show_maps
from pose_core.cli.status import cancel, status
from pose_core.cli.terminal import TerminalReporter
from pose_core.cli.track import track
from pose_core.cli.train import train
from pose_core.cli.weights import weights
from pose_core.cli.worker import worker
from pose_core.errors import PoseError, readable, speak_command_line
from pose_core.io.files import explain_disk_error
from pose_core.plugins import describe_defect
from pose_core.reporting import set_reporter

_OPTION = r"-[a-zA-Z]|--[a-z][a-z-]*(=.*)?|-"

app = typer.Typer(
    name="pose",
    cls=PoseCommands,
    help="Pose estimation: train on a labelled project, evaluate the model, predict videos. 'pose models' "
    "lists the models that are installed. To see all of it at work: pose demo --model unet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"pose_core {__version__}")
        raise typer.Exit


for command in (
    *(inspect, config, show_batch, train, adapt, evaluate, compare, show_maps),
    *(predict, status, cancel, worker, track, filter_, render, plot, export, import_, demo),
    *(models, detectors, runtimes, exporters, engines, trackers, filters, weights, writers),
    *(plugins, show, schema, check, cite, licenses),
):
    # In this order they stand in --help: the work first, then the listings.
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)


def run() -> None:
    """Entry point. Exit codes: 0 done, 1 'pose check' found something, 2 the user's input cannot be used (one
    line says why), 130 interrupted."""
    reporter = TerminalReporter()
    # Errors of the library name arguments of Python until this is called; here they name options.
    speak_command_line()
    previous = set_reporter(reporter)
    try:
        _run(reporter)
    finally:
        # A program that runs a command within its own process goes on in the words of Python.
        speak_command_line(False)
        set_reporter(previous)


def _run(reporter: TerminalReporter) -> None:
    # A file's name, or what a file says, may hold what no text in UTF-8 can.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=escapes.HANDLER)
    # What OpenCV says about a damaged image is said better by the line that names the file.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    sys.argv[1:] = _tell_files_from_options(sys.argv[1:])
    warnings = logging.StreamHandler()
    warnings.setFormatter(_Lines())
    logging.getLogger("pose_core").addHandler(warnings)
    try:
        try:
            app()
        finally:
            # Before the error is printed: a bar would be drawn over it.
            reporter.close()
    except PoseError as error:
        if os.environ.get("POSE_DEBUG", "") not in ("", "0"):
            raise
        _exit_with(str(error))
    except OSError as error:
        # Files that the user may not touch and full or failing disks are no defects, so no traceback.
        if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
            _exit_with(
                f"{error.filename}: may not be used by this user; change its permissions, or name another "
                "place"
            )
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        line = explain_disk_error(error, place or Path("the output"), "run the command again")
        # A name that is in the way, or not there, where nobody expected it is a defect.
        if not line or error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY):
            error.add_note(describe_defect(error))
            raise
        _exit_with(line)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        # 128 + SIGINT, as shells have it.
        sys.exit(130)
    except Exception as error:
        error.add_note(describe_defect(error))
        raise


def _tell_files_from_options(arguments: list[str]) -> list[str]:
    """Write ``./-x.avi`` for ``-x.avi`` where there is such a file and the name is no option's."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    files = (a for a in arguments[:end] if a.startswith("-") and not re.fullmatch(_OPTION, a))
    found = {a for a in files if os.path.lexists(a)}
    return [f"./{a}" if a in found else a for a in arguments[:end]] + arguments[end:]


class _Lines(logging.Formatter):
    """Write ``warning: ...`` before the message."""

    def format(self, record: logging.LogRecord) -> str:
        # Lowered here: the names of levels belong to the whole process, and other libraries print them too.
        return f"{record.levelname.lower()}: {super().format(record)}"


def _exit_with(message: str) -> None:
    print(f"error: {readable(message)}", file=sys.stderr)
    sys.exit(2)
