import math

from pydantic import Field

from pose_core.interfaces import Schedule, ScheduleContext
from pose_core.specs import ScheduleConfig


class RestartsConfig(ScheduleConfig):
    cycles: int = Field(4, ge=1, description="How many times it falls.")


class Restarts(Schedule):
    """Half a cosine several times over (Loshchilov and Hutter, 2017)."""

    def __init__(self, config: RestartsConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.cycles = config.cycles

    def learning_rate(self, progress: float) -> float:
        within = (self.after_warmup(progress) * self.cycles) % 1.0
        return self.context.lr * 0.5 * (1.0 + math.cos(math.pi * within))


schedule = Restarts(RestartsConfig(warmup=0.0), ScheduleContext(lr=0.001, epochs=20))
assert schedule.learning_rate(0.0) == schedule.learning_rate(0.25) == 0.001
assert schedule.learning_rate(0.2) < 0.0005
