"""All that needs a GPU, in one go: how fast predictions are, and whether the GPU gives what the CPU gives.

    python benchmarks/gpu.py [--device cuda] [--seconds 330] [--only PART ...] [--out FILE.json] [--small]

Parts, in this order: ``machine`` (what it multiplies), ``views`` (resizing and cropping), ``parity`` (CPU beside GPU,
16 bits beside 32), ``runtimes`` (CUDA graphs, and what else computes on the device, beside the network), ``decoding``
(torchcodec beside our reader), ``deeplabcut`` (its own loop on the same weights beside ours), ``rates`` (frames a
second, network alone and from end to end), ``training`` (steps in mixed precision), ``conformance`` (levels 3 and 1 of
all plugins). What the time does not suffice for is listed as left out; results are written after each part.
``--small`` is the same on a CPU with small inputs, to try the script out. Networks have random weights.
``benchmarks/gpu.sh`` installs what is needed from a folder of wheels and runs this.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gpu_checks import check_plugins, compare_decoding, compare_devices, compare_runtimes
from gpu_deeplabcut import measure_beside_deeplabcut
from gpu_session import SMALL, Session, Sizes
from gpu_speed import measure_machine, measure_rates, measure_views, train_steps

PARTS: dict[str, Callable[[Session], None]] = {
    "machine": measure_machine,
    "views": measure_views,
    "parity": compare_devices,
    "runtimes": compare_runtimes,
    "decoding": compare_decoding,
    "deeplabcut": measure_beside_deeplabcut,
    "rates": measure_rates,
    "training": train_steps,
    "conformance": check_plugins,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default=None, help="cuda; with --small cpu")
    parser.add_argument("--seconds", type=float, default=330.0, help="after which nothing new is begun")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--out", type=Path, default=None, metavar="FILE.json")
    parser.add_argument("--small", action="store_true")
    parser.add_argument(
        "--oracle", default=None, metavar="COMMAND", help="runs parity/speed_oracle.py where deeplabcut is"
    )
    options = parser.parse_args()
    device = torch.device(options.device or ("cpu" if options.small else "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; --small tries the script out on a CPU")
    with tempfile.TemporaryDirectory() as folder:
        sizes = SMALL if options.small else Sizes()
        session = Session(device, sizes, Path(folder), time.monotonic() + options.seconds, options.oracle)
        for name in options.only:
            if session.has_time(name):
                PARTS[name](session)
            if options.out is not None:
                content = {"parts": session.rows, "left_out": session.left_out}
                options.out.write_text(json.dumps(content, indent=1))
    for line in session.left_out:
        print(f"left out: {line}")


if __name__ == "__main__":
    main()
