"""Plot training curves."""

from __future__ import annotations

import csv
from pathlib import Path


def plot_curves(history: Path, out: Path, metric_key: str, metric_label: str, unit: str) -> bool:
    """Draw loss, validation error and learning rate over the epochs.

    Args:
        history: history.csv of a run.
        out: PNG to write.
        metric_key, metric_label: column and name of the validation metric.
        unit: of that metric.

    Returns:
        whether there was anything to draw.
    """
    # Imported late, because it takes long, and without pyplot, which would choose a backend with windows.
    from matplotlib.figure import Figure

    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return False
    epochs = [int(r["epoch"]) for r in rows]
    panels = [
        ("loss", "training loss"),
        (metric_key, f"{metric_label} ({unit.strip()})" if unit else metric_label),
        ("learning_rate", "learning rate"),
    ]
    shown = [(key, label) for key, label in panels if any(r.get(key) for r in rows)]
    figure = Figure(figsize=(4.2 * len(shown), 3.2), layout="constrained")
    for axis, (key, label) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        points = [(e, float(r[key])) for e, r in zip(epochs, rows, strict=True) if r.get(key)]
        axis.plot(
            *zip(*points, strict=True),
            color="#1f6f8b",
            linewidth=1.8,
            marker="o" if len(points) < 25 else None,
            markersize=3,
        )
        # A logarithmic axis would drop points at 0, which an error can be.
        if key != "learning_rate" and min(p[1] for p in points) > 0:
            axis.set_yscale("log")
        if key == metric_key:
            best = min(points, key=lambda p: p[1])
            axis.plot(*best, marker="o", color="#c8553d")
            axis.annotate(
                f"{best[1]:.2f}{unit}",
                best,
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                color="#c8553d",
            )
        axis.set_xlabel("epoch")
        axis.set_title(label, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.savefig(out, dpi=130)
    return True
