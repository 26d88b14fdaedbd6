"""What the cores multiply at most: the measure that networks are held against.

python parity/limit.py [--threads 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import time

import torch


def measure_limit(device: str = "cpu") -> float:
    """GFLOP/s of a product of matrices in float32, the best of ten: what a network could reach at most."""
    side = 1536 if device == "cpu" else 8192
    one, other = (torch.randn(side, side, device=device) for _ in range(2))
    least = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        product = one @ other
        # Its last value is there when all are, whatever the device.
        float(product[-1, -1])
        least = min(least, time.perf_counter() - began)
    return float(2 * side**3 / least / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    limit = measure_limit()
    print(json.dumps(limit) if options.json else f"{limit:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
