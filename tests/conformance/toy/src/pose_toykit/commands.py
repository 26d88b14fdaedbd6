"""A command, and the interface of a kind."""

import typer

app = typer.Typer()


@app.command()
def toy_greet() -> None:
    print("hello")


class ToySmoother:
    """What smoothers are."""
