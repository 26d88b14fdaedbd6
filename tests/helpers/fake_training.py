"""Takes the place of parity/training_speed_oracle.py: a small project, and steps of a second."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deeplabcut_shuffles import make_trained

asked, first, *rest = sys.argv[1:]
if asked == "make":
    snapshot = make_trained(Path(rest[0]), [5, 0, 1, 2, 4, 7], [3, 6]).snapshot
    answer: dict[str, object] = {
        "project": f"{rest[0]}/config.yaml",
        "description": str(snapshot.with_name("pytorch_config.yaml")),
        "snapshot": str(snapshot),
    }
else:
    answer = {"milliseconds": [1000.0] * 4, "peak_mb": 100.0}
print("@@ " + json.dumps(answer))
