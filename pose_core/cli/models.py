"""Listings: ``pose models``, ``pose detectors``, ``pose runtimes``, ``pose engines``, ``pose trackers`` and others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.model_costs import ModelCost, read_costs
from pose_core.catalog.origins import describe_origins
from pose_core.cli.tables import print_json, print_table


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these, such as hrnet_w32.", show_default=False),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Only models of this method, such as top_down.")
    ] = None,
    plugin: Annotated[
        str | None, typer.Option(metavar="PLUGIN", help="Only models of this plugin, such as hrnet.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure parameters, operations and time on this machine; about a second for each model.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be trained, with what they cost.

    GFLOPS counts the operations for one image of the size under INPUT (a multiplication and an addition are
    two). TIME is that of one image on one core of a CPU, as a multiple of what 1 GFLOP of plain convolutions takes.
    ORIGIN says who published it; 'pose cite' has the whole.
    """
    catalog = get_catalog()
    # Checked by hand: a choice of click would be fixed on import, before plugins are known.
    methods = [m.name for m in catalog.methods()]
    if method is not None and method not in methods:
        raise typer.BadParameter(f"{method!r} is not one of {', '.join(methods)}", param_hint="--method")
    plugins = sorted({m.plugin.name for m in catalog.models()})
    if plugin is not None and plugin not in plugins:
        raise typer.BadParameter(f"{plugin!r} is not one of {', '.join(plugins)}", param_hint="--plugin")
    named = {m.full_name for name in names or () for m in catalog.model(name, method)}
    listed = [
        model
        for model in catalog.models()
        if method in (None, model.method)
        and plugin in (None, model.plugin.name)
        and (not names or model.full_name in named)
    ]
    if measure:
        _measure(listed, json)
        return
    costs, origins = read_costs(listed), describe_origins(listed)
    rows = []
    for model in listed:
        cost = costs.get((model.full_name, model.method))
        rows.append(
            {
                "name": model.name,
                "method": model.method,
                "family": model.family,
                "plugin": model.plugin.name,
                "full_name": model.full_name,
                "distribution": model.plugin.distribution,
                "parameters": cost and cost.parameters,
                "gflops": cost and cost.gflops,
                "relative_time": cost and cost.relative_time,
                "input": cost and [cost.height, cost.width],
                "origin": origins[model.full_name, model.method],
                "summary": model.summary,
            }
        )
    if json:
        print_json(rows)
    elif rows:
        # JSON has all columns; on a terminal the full name would only repeat plugin and name.
        columns = ("name", "method", "plugin", "params", "gflops", "time", "input", "origin", "summary")
        print_table(
            [
                row
                | _format_cost(costs.get((model.full_name, model.method)))
                | {"origin": row["origin"] or "-"}
                for row, model in zip(rows, listed, strict=True)
            ],
            columns,
        )
    else:
        typer.echo("no models are installed; 'pose plugins' tells what is")


def _format_cost(cost: ModelCost | None) -> dict[str, object]:
    if cost is None:
        return {"params": "-", "gflops": "-", "time": "-", "input": "-"}
    return {
        "params": f"{cost.parameters / 1e6:.1f}M",
        "gflops": f"{cost.gflops:.1f}",
        "time": f"{cost.relative_time:.1f}",
        "input": f"{cost.height}x{cost.width}",
    }


def _measure(listed: list[Model], json: bool) -> None:
    # Here: it brings torch in.
    from pose_core.inspection.measure_models import measure_models

    costs = []
    for cost in measure_models(listed):
        costs.append(asdict(cost))
        if not json:
            typer.echo(
                "  ".join(
                    f"{key} {value}" for key, value in ({"name": cost.name} | _format_cost(cost)).items()
                )
            )
    if json:
        print_json(costs)


def writers(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the formats that predictions can be written in."""
    _list_components("writer", json)


def trackers(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can follow animals over time."""
    _list_components("tracker", json)


def filters(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can smooth tracks and fill their gaps in."""
    _list_components("filter", json)


def engines(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can start the processes that share a prediction."""
    _list_components("engine", json)


def detectors(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the detectors that top-down models can use."""
    _list_components("detector", json)


def exporters(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the kinds of file that models can be exported to."""
    _list_components("exporter", json)


def runtimes(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can compute networks, on which devices here, with how many bits, and what is missing."""
    from pose_core.catalog import find_missing_package

    rows: list[dict[str, object]] = []
    for component in get_catalog().components("runtime"):
        # Imported, unlike other components: only its packages know the devices.
        factory = component.factory()
        missing = find_missing_package(factory)
        devices = [] if missing else list(factory.devices())
        row: dict[str, object] = {"name": component.name, "plugin": component.plugin.name}
        bits = {device: sorted(factory.precisions(device), reverse=True) for device in devices}
        if json:
            row |= {"full_name": component.full_name, "distribution": component.plugin.distribution}
            row |= {"devices": devices, "missing": missing, "precisions": bits}
        else:
            absent = f"none: pip install {missing}" if missing else "none here"
            row |= {"devices": ", ".join(devices) or absent}
            row |= {
                "bits": ", ".join(map(str, sorted({b for each in bits.values() for b in each}, reverse=True)))
            }
        rows.append({**row, "summary": component.definition.summary})
    if json:
        print_json(rows)
    else:
        print_table(rows, ("name", "plugin", "devices", "bits", "summary"))


def _list_components(kind: str, json: bool) -> None:
    rows = [
        {
            "name": component.name,
            "plugin": component.plugin.name,
            "full_name": component.full_name,
            "distribution": component.plugin.distribution,
            "summary": component.definition.summary,
        }
        for component in get_catalog().components(kind)
    ]
    if json:
        print_json(rows)
    elif rows:
        print_table(rows, ("name", "plugin", "summary"))
    else:
        typer.echo(f"no {kind}s are installed")
