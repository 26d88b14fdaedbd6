"""Commands that plugins add to ``pose``: listed by their definitions, imported when they are called."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pose_core.catalog import get_catalog
from pose_core.catalog.offered import Command
from pose_core.errors import ConfigError, PluginError

# Contexts and commands are those of click, or of the copy within typer, by the version of typer: no class
# can be named.
Click = Any


class PoseCommands(TyperGroup):
    """The commands of the core, then those of plugins by name."""

    def list_commands(self, ctx: Click) -> list[str]:
        own = super().list_commands(ctx)
        # A name once, though two plugins may offer it: _Refused stands for both.
        return [*own, *dict.fromkeys(command.name for command in get_catalog().commands())]

    def get_command(self, ctx: Click, cmd_name: str) -> Click:
        # The core's commands first: no plugin may replace one, and most calls need no catalogue.
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if not any(cmd_name in (command.name, command.full_name) for command in get_catalog().commands()):
            return None
        try:
            return _Contributed(get_catalog().command(cmd_name))
        # Two plugins offer it. click asks for every command to list them, so the error must wait until this
        # one is called.
        except ConfigError as error:
            return _Refused(cmd_name, error)


class _Contributed(TyperCommand):
    """A command of a plugin, known by its definition until it is called."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.name, help=command.definition.summary, short_help=command.definition.summary)
        self._command = command

    def make_context(
        self, info_name: str | None, args: list[str], parent: Click = None, **extra: Any
    ) -> Click:
        # click runs the command of the context, which is the one that is loaded here.
        return _load(self._command).make_context(info_name, args, parent, **extra)


class _Refused(TyperCommand):
    """A name that stands for commands of several plugins."""

    def __init__(self, name: str, reason: ConfigError) -> None:
        super().__init__(name, short_help="offered by several plugins; write NAMESPACE/COMMAND")
        self._reason = reason

    def make_context(self, *args: object, **extra: object) -> Click:
        raise self._reason


def _load(command: Command) -> Click:
    """Import the application of a command.

    Raises:
        PluginError: it cannot be imported or is none.
    """
    app = command.load()
    where = f"app {command.definition.app!r} of command {command.full_name!r}"
    what_to_do = f"the plugin {command.plugin.distribution} is broken"
    if not isinstance(app, typer.Typer):
        raise PluginError(f"{where} is {type(app).__name__}, not a typer application; {what_to_do}")
    try:
        return typer.main.get_command(app)
    # What typer raises for an application without commands.
    except RuntimeError as error:
        raise PluginError(f"{where} has no command ({error}); {what_to_do}") from error
