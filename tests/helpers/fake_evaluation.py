"""Takes the place of parity/evaluation_oracle.py: our own evaluation as the original's table, in the training
part off by as many pixels as the first argument says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deeplabcut_shuffles import make_trained
from evaluation import measure


def main(off: float, folder: Path) -> None:
    model = make_trained(folder, [5, 0, 1, 2, 4, 7], [3, 6])
    found = measure(str(model.snapshot), folder.with_name("theirs"))
    table = {"test rmse": found["test"][0], "train rmse": found["train"][0] + off}
    print("@@ " + json.dumps({"versions": "ourselves", "snapshot": str(model.snapshot), "table": table}))


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
