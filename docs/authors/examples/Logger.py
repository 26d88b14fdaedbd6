import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pose_core.interfaces import Logger, LoggerContext
from pose_core.specs import LoggerConfig


class JsonLines(Logger):
    """A line of JSON for each validation."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        # Appended: a resumed training goes on in the same file.
        with (self.context.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")


with tempfile.TemporaryDirectory() as name:
    logger = JsonLines(LoggerConfig(), LoggerContext(Path(name), "first"))
    logger.log_metrics({"train/loss": 0.5}, step=100)
    logger.finish(completed=True)
    assert Path(name, "metrics.jsonl").read_text() == '{"step": 100, "train/loss": 0.5}\n'
