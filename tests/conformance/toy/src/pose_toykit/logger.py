"""A logger that writes lines."""

from pose_core.interfaces import Logger


class ToyLogger(Logger):
    def log_metrics(self, metrics, step):
        with (self.context.folder / "toy.txt").open("a") as file:
            file.write(f"{step} {sorted(metrics.items())}\n")
