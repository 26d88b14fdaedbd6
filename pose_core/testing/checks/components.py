"""Level 1: components of every kind, and commands."""

from __future__ import annotations

import typer

from pose_core.catalog import get_catalog
from pose_core.errors import PoseError
from pose_core.testing.checks.check import COMMAND, COMPONENT, check, demand
from pose_core.testing.checks.targets import ComponentSubject, DefinitionSubject, skip


@check(1, COMPONENT)
def check_factory_is_of_its_kind(subject: ComponentSubject) -> None:
    """A factory that is a class subclasses the interface of its kind (Backbone, Reader ...)."""
    kind = subject.installed_kind
    if not kind.row.interface:
        raise skip(f"the kind {kind.row.name} asks for no class")
    factory = subject.component.factory()
    # A function may choose among classes when it is called, so its class is not known before it builds one.
    if not isinstance(factory, type):
        raise skip("its factory is a function")
    interface = kind.interface()
    demand(
        issubclass(factory, interface),
        f"{subject.component.definition.factory} is not a subclass of "
        f"{interface.__module__}.{interface.__name__}",
    )


@check(1, COMMAND)
def check_command_is_an_application(subject: DefinitionSubject) -> None:
    """The app of a command can be imported and is a typer.Typer with at least one command."""
    try:
        # By its full name: another plugin may have a command of the same bare name.
        app = get_catalog().command(f"{subject.plugin.name}/{subject.name}").load()
    except PoseError as error:
        raise AssertionError(str(error)) from None
    demand(isinstance(app, typer.Typer), f"app is {type(app).__name__}, not typer.Typer")
    assert isinstance(app, typer.Typer)
    demand(
        app.registered_commands or app.registered_groups, "app has no command: put @app.command() above one"
    )


CHECKS = (check_factory_is_of_its_kind, check_command_is_an_application)
