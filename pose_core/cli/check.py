"""``pose check``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.tables import print_json

LEVELS = "0 without torch, 1 on the CPU, 2 stored outputs, 3 precision, export and GPU"


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A distribution, plugin, component or model.")],
    level: Annotated[
        int, typer.Option(min=0, max=3, metavar="0|1|2|3", help=f"Checks up to this level: {LEVELS}.")
    ] = 1,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Stored outputs to compare with: adds level 2.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Store outputs for level 2 in this file, and check nothing."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a plugin against the rules that plugins keep.

    Prints a line for each check, and what to do where one fails; the exit code is 1 then.
    """
    # Imported here, as everything heavy in this folder: the command line is read before any of it is
    # needed.
    from pose_core.testing.conformance import FAILED, PASSED, items, read_outputs, run, store_outputs

    if store is not None:
        count = store_outputs(name, store)
        typer.echo(f"{store}: outputs of {count} component{'' if count == 1 else 's'}")
        return
    outputs = read_outputs(reference) if reference is not None else None
    outcomes = []
    raised: dict[tuple[str, str], str] = {}
    levels = {*range(level + 1), *({2} if outputs is not None else ())}
    for item in items(name, levels, outputs):
        outcome = run(item)
        outcomes.append(outcome)
        if json:
            continue
        reason = f": {outcome.reason}" if outcome.reason else ""
        # A part that cannot be built fails most of its checks with one error: it is printed once.
        if outcome.status == FAILED and not outcome.advice:
            first = raised.setdefault((outcome.subject, outcome.reason), outcome.check)
            reason = reason if first == outcome.check else f": raises as in {first}"
        # At once and not at the end: checks of networks take minutes.
        typer.echo(f"{outcome.status:<7} {outcome.plugin} {outcome.id}{reason}")
        if outcome.advice:
            typer.echo(f"        {outcome.advice}")
    failed = [o for o in outcomes if o.status == FAILED]
    if json:
        print_json([{**asdict(o), "id": o.id, "seconds": round(o.seconds, 3)} for o in outcomes])
    else:
        passed = sum(o.status == PASSED for o in outcomes)
        typer.echo(f"{passed} passed, {len(failed)} failed, {len(outcomes) - passed - len(failed)} skipped")
    if failed:
        raise typer.Exit(1)
