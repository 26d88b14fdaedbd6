"""Plot training curves."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pose_core.training.validation_metrics import ValidationMetric


def plot_curves(history: Path, out: Path, metrics: Sequence[ValidationMetric[Any]], best_epoch: int) -> bool:
    """Draw loss, validation metrics and learning rate over the epochs.

    Args:
        history: history.csv of a run.
        out: PNG to write.
        metrics: of the validation, the one that selects the weights first.
        best_epoch: whose weights are kept, which is marked.

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
        *(
            (metric.key, f"{metric.label} ({metric.unit.strip()})" if metric.unit else metric.label)
            for metric in metrics
        ),
        ("learning_rate", "learning rate"),
    ]
    shown = [(key, label) for key, label in panels if any(r.get(key) for r in rows)]
    by_key = {metric.key: metric for metric in metrics}
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
        metric = by_key.get(key)
        falls = key == "loss" or (metric is not None and not metric.higher_is_better)
        # A logarithmic axis would drop points at 0, which an error can be.
        if falls and min(p[1] for p in points) > 0:
            axis.set_yscale("log")
        best = next((point for point in points if point[0] == best_epoch), None)
        if metric is not None and best is not None:
            axis.plot(*best, marker="o", color="#c8553d")
            axis.annotate(
                metric.describe(best[1]),
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
