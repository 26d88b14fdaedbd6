"""What the conformance checks do not ask: sizes that a network fixes, reasons in one line, nothing reported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from openvino_telemetry import Telemetry
from pose_openvino.config import OpenVinoConfig
from pose_openvino.runtime import OpenVinoRuntime
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import RuntimeContext


class Sized(nn.Module):
    """What it computes depends on the size of its images, in Python, which a trace cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.conv(image) * float(int(image.shape[-1])),)


class Unknown(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (torch.linalg.svdvals(image),)


def make_images(images: int, height: int, width: int) -> Tensor:
    return torch.rand(images, 3, height, width, generator=torch.Generator().manual_seed(0))


def make_runtime(
    network: nn.Module, cache: Path, precision: int = 32, config: OpenVinoConfig | None = None
) -> OpenVinoRuntime:
    def calibrate() -> Sequence[tuple[Tensor, ...]]:
        return [(make_images(1, 32, 32),) for _ in range(4)]

    context = RuntimeContext(
        network.eval(),
        ("image",),
        (make_images(2, 32, 32),),
        fixed_size=False,
        size_multiple=32,
        device=torch.device("cpu"),
        cache=cache,
        name="it",
        precision=precision,
        calibration=calibrate,
    )
    return OpenVinoRuntime(config or OpenVinoConfig(type="openvino/openvino"), context)


def test_a_network_that_fixes_the_size_gets_a_model_for_each(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Sized()
    runtime = make_runtime(network, tmp_path)
    for height, width in ((32, 32), (32, 64), (64, 32), (32, 64)):
        images = make_images(3, height, width)
        with torch.inference_mode():
            (wanted,) = network(images)
        (found,) = runtime.run([images])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    # 64 x 32 is as wide as the example: the model of that serves it, too.
    assert sorted(path.name for path in next(tmp_path.iterdir()).iterdir()) == ["network", "network-32x64"]


def test_bfloat16_is_used_for_each_size_where_the_processor_has_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Sized()
    half, plain = make_runtime(network, tmp_path, precision=16), make_runtime(network, tmp_path)
    for height, width in ((32, 32), (32, 64)):
        images = make_images(3, height, width)
        (found,), (wanted,) = half.run([images]), plain.run([images])
        # Eight bits of mantissa. Other processors compute both with float32.
        largest = float(wanted.abs().max())
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.02 * largest)
        assert torch.equal(found, wanted) == (16 not in OpenVinoRuntime.precisions("cpu"))


def test_sixteen_bits_are_listed_where_the_processor_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, bits in ((True, (32, 16, 8)), (False, (32, 8))):
        monkeypatch.setattr("pose_openvino.runtime.has_bfloat16", lambda core, there=there: there)
        assert OpenVinoRuntime.precisions("cpu") == bits


def test_eight_bits_are_refused_for_a_size_that_they_were_not_calibrated_with(tmp_path: Path) -> None:
    torch.manual_seed(0)
    runtime = make_runtime(Sized(), tmp_path, precision=8)
    assert len(runtime.run([make_images(1, 32, 32)])) == 1
    with pytest.raises(
        ConfigError, match=r"it fixes the size of its images .* was calibrated with others than 64 x 32"
    ):
        runtime.run([make_images(1, 32, 64)])


def test_an_operation_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"runtime openvino: it cannot be converted: .*use the runtime torch"
    ) as caught:
        make_runtime(Unknown(), tmp_path)
    assert "\n" not in str(caught.value)
    assert "svd" in str(caught.value)
    assert not list(tmp_path.rglob("network*"))


def test_threads_are_those_that_were_asked_for(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = OpenVinoConfig(type="openvino/openvino", threads=1)
    runtime = make_runtime(Sized(), tmp_path, config=config)
    assert runtime._any.get_property("INFERENCE_NUM_THREADS") == 1
    assert runtime._any.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_no_use_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    for name in ("start_session", "send_event", "end_session"):
        monkeypatch.setattr(Telemetry, name, lambda *arguments, **_: sent.append(arguments))
    torch.manual_seed(0)
    make_runtime(Sized(), tmp_path, precision=8).run([make_images(1, 32, 32)])
    assert not sent
    # By this NNCF tells its own tests, which report nothing; in pytest it would not in any case.
    assert os.environ["NNCF_CI"]


SIGNALLED = """
import gc, signal, subprocess, sys
from pathlib import Path
import torch
from test_openvino_runtime import Sized, make_runtime

def make(name, precision=32):
    return make_runtime(Sized(), Path(sys.argv[1]) / name, precision)

kept, first, second = make("kept"), make("first", 8), make("second", 8)
# In the order in which they were made.
del first
gc.collect()
del second
gc.collect()
ended = []
signal.signal(signal.SIGCHLD, lambda *_: ended.append(1))
subprocess.run([sys.executable, "-c", ""], check=True)
print(len(ended))
"""


@pytest.mark.long
def test_signals_arrive_when_runtimes_are_gone(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SIGNALLED, tmp_path],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (0, "1\n"), process.stderr
