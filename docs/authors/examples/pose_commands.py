from collections.abc import Iterable

from pose_core.hooks import CommandSpec, hookimpl


@hookimpl
def pose_commands() -> Iterable[CommandSpec]:
    yield CommandSpec(
        "smooth",  # pose smooth FILE
        app="pose_toy.cli:app",  # app = typer.Typer(), imported when the command is called
        summary="Smooth the tracks of a predictions file.",
    )
