"""A "DeepLabCut" for parity/trackers.py: the row that a pose has in its frame is its track, which is no tracking."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    for scene in sorted(Path(sys.argv[1]).glob("*.npz")):
        content = np.load(scene)
        np.savez(scene.with_suffix(".deeplabcut.npz"), poses=content["points"][:, : int(content["animals"])])
