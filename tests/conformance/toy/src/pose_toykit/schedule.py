"""A schedule that slows down with each validation."""

from pose_core.interfaces import Schedule


class ToySchedule(Schedule):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.seen = 0

    def learning_rate(self, progress):
        return self.context.lr * (1 - progress / 2) / (1 + self.seen)

    def observe(self, value):
        self.seen += 1

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]
