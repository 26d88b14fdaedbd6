"""An engine of processes that nobody waits for."""

import os
import signal
import subprocess

from pose_core.interfaces import Engine, EngineHandle


class ToyHandle(EngineHandle):
    def __init__(self, pids):
        self.pids = pids

    def state(self):
        return {"pids": self.pids}

    def alive(self):
        return sum(map(self.runs, self.pids))

    def cancel(self):
        for pid in filter(self.runs, self.pids):
            os.kill(pid, signal.SIGTERM)

    @staticmethod
    def runs(pid):
        try:
            return os.waitpid(pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False


class ToyEngine(Engine):
    def start(self, plan, workers):
        return ToyHandle([subprocess.Popen(plan.command).pid for _ in range(workers)])

    def find(self, state):
        return ToyHandle(state["pids"])
