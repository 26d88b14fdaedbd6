"""Options that belong to suppliers of what stages need: ``--detector``, ``--boxes`` and those of plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pose_core.catalog import get_catalog
from pose_core.hooks import SupplierSpec


class WithSources:
    """A command with an option for each installed supplier, in the place of its parameter ``sources``.

    The options are made when the command line is read, not when this module is imported, so that a plugin
    that does not load is reported as everywhere.

    Args:
        command: has a parameter ``sources``, which gets a dictionary: name -> what was given, None where
            nothing was.
        takes: which suppliers: those that take one of these, see :class:`pose_core.hooks.SupplierSpec`.
        parameter: makes the option of a supplier.
    """

    def __init__(
        self,
        command: Callable[..., None],
        takes: tuple[str, ...],
        parameter: Callable[[SupplierSpec], inspect.Parameter],
    ) -> None:
        self._command = command
        self._takes = set(takes)
        self._parameter = parameter
        # typer reads name, help and signature of a function; an instance has to show them itself.
        self.__name__, self.__doc__, self.__module__ = command.__name__, command.__doc__, command.__module__
        self.__annotations__: dict[str, Any] = {}

    def __call__(self, **values: Any) -> None:
        sources = {supplier.name: values.pop(supplier.name) for supplier in self._suppliers()}
        self._command(**values, sources=sources)

    @property
    def __signature__(self) -> inspect.Signature:
        # Annotations are texts in this project, and typer would evaluate them in the wrong module.
        signature = inspect.signature(self._command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            if parameter.name == "sources":
                parameters += [self._parameter(supplier) for supplier in self._suppliers()]
            else:
                # All by keyword: parameters without a default may then follow those with one.
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        return signature.replace(parameters=parameters)

    def _suppliers(self) -> list[SupplierSpec]:
        own = set(inspect.signature(self._command).parameters)
        return [s for s in get_catalog().suppliers() if self._takes & set(s.takes) and s.name not in own]


def with_sources(*takes: str) -> Callable[[Callable[..., None]], WithSources]:
    """Give a command the options of suppliers that take one of these."""
    return lambda command: WithSources(command, takes, _make_source_parameter)


def with_networks(command: Callable[..., None]) -> WithSources:
    """Give ``pose train`` the options of suppliers that take the run of a network: they train one by its
    name, too."""
    return WithSources(command, ("run",), _make_network_parameter)


def _make_network_parameter(supplier: SupplierSpec) -> inspect.Parameter:
    boxes = supplier.trains == "boxes"
    name = "a detector ('pose detectors' lists them)" if boxes else "a model ('pose models' lists them)"
    alone = " Without --model, only the detector is trained." if boxes else ""
    about = typer.Option(
        f"--{supplier.name.replace('_', '-')}",
        metavar="NAME|RUN",
        help=f"Where a model that needs {supplier.gives} gets them: the name of {name}, which is trained "
        f"first, or the run folder of a trained one.{alone}",
        show_default=False,
    )
    return inspect.Parameter(
        supplier.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, about]
    )


def _make_source_parameter(supplier: SupplierSpec) -> inspect.Parameter:
    flag = f"--{supplier.name.replace('_', '-')}"
    # The labels are known from the run, so there is nothing to give: a flag.
    if "labels" in supplier.takes:
        annotation: Any = Annotated[bool, typer.Option(flag, help=supplier.help)]
        default: bool | None = False
    else:
        about = typer.Option(flag, metavar=supplier.metavar, help=supplier.help, show_default=False)
        annotation, default = Annotated[Path | None, about], None
    return inspect.Parameter(
        supplier.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
