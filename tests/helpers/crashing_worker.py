"""A worker whose process crashes where a range begins, as when a decoder does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def work_until_crash(out: Path, video: str, first: int) -> None:
    """Work on a plan; at one place of one video the process ends by SIGSEGV."""
    from pose_core.pipeline.engine import Pipeline
    from pose_core.prediction.worker import work

    true = Pipeline.run

    def run(self: Pipeline, source: Any, start: int = 0, *rest: Any) -> Iterator[Any]:
        if source.video.name == video and start == first:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield from true(self, source, start, *rest)

    Pipeline.run = run  # type: ignore[method-assign]
    work(out)
