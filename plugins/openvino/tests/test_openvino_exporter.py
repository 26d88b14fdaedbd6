"""What the conformance checks do not ask of OpenVINO's files: names, shapes, compressed weights, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from pose_openvino.compute import compile_model, infer
from pose_openvino.config import OpenVinoExporterConfig
from pose_openvino.convert import convert
from pose_openvino.exporter import OpenVinoExporter
from tiny_run import make_run
from torch import Tensor, nn

import pose_core
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.exporter import ExporterContext


class Brightness(nn.Module):
    """Looks at images and at poses, which it does not need."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 3)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        images, poses = tensors
        maps = self.conv(images.permute(0, 3, 1, 2).to(torch.float32) / 255)
        return maps.mean((2, 3)), poses.mean((1, 2, 3)) * 0 + maps.amax((1, 2, 3))


class Unknown(nn.Module):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return (torch.linalg.svdvals(tensors[0].float()),)


def make_example(images: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, height, width, 3), dtype=torch.uint8, generator=random)
    return pixels, torch.rand(images, 1, 4, 2, generator=random)


def make_context(fixed_size: bool = False) -> ExporterContext:
    torch.manual_seed(0)
    return ExporterContext(
        Brightness().eval(),
        ("image", "initial_keypoints"),
        ("mean", "largest"),
        make_example(2, 32, 64),
        fixed_size,
        32,
        "it",
    )


def make_exporter(**settings: bool) -> OpenVinoExporter:
    return OpenVinoExporter(OpenVinoExporterConfig(type="openvino/openvino", **settings))


@pytest.mark.parametrize("fixed_size", [False, True])
def test_the_file_names_what_goes_in_and_out(tmp_path: Path, fixed_size: bool) -> None:
    context = make_context(fixed_size)
    written = make_exporter().write(context, tmp_path / "network.xml")
    assert written.fixed_size is fixed_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.bin", "network.xml"]
    assert written.needs == {
        "openvino": openvino.__version__.partition("-")[0],
        "inference_precision": "f32",
    }
    model = openvino.Core().read_model(tmp_path / "network.xml")
    image, poses = model.inputs
    assert (image.any_name, poses.any_name) == context.inputs
    assert tuple(output.any_name for output in model.outputs) == context.outputs
    assert image.element_type == openvino.Type.u8
    sides = "32,64" if fixed_size else "?,?"
    assert str(image.partial_shape) == f"[?,{sides},3]"
    assert str(poses.partial_shape) == "[?,1,4,2]"


def test_weights_of_16_bits_are_half_as_large_and_computed_in_float32(tmp_path: Path) -> None:
    context, tensors = make_context(), make_example(3, 64, 32)
    with torch.inference_mode():
        wanted, _ = context.network(*tensors)
    sizes, off = [], []
    for number, compress in enumerate((False, True)):
        exporter, path = make_exporter(compress_to_fp16=compress), tmp_path / str(number) / "network.xml"
        path.parent.mkdir()
        exporter.write(context, path)
        found, _ = exporter.open(path)(tensors)
        sizes.append(path.with_suffix(".bin").stat().st_size)
        off.append(float((found - wanted).abs().max()))
    assert sizes[1] < 0.55 * sizes[0]
    # 11 bits of mantissa, and not the 11 bits of every sum as well.
    assert off[0] < 1e-6 < off[1] < 1e-3


class Turned(nn.Module):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        (values,) = tensors
        return values.mT, values[:, 0].mT, values.mT @ values


def test_the_last_two_axes_change_places() -> None:
    values = torch.rand(2, 3, 4, 5)
    model = convert(Turned(), [values], refusal="it", advice="")
    for images in (2, 3):
        given = torch.rand(images, 3, 4, 5)
        found = infer(compile_model(openvino.Core(), model, None), [given])
        for one, other in zip(found, Turned()(given), strict=True):
            torch.testing.assert_close(one, other)


class WithoutNan(nn.Module):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        (values,) = tensors
        return (
            values.nan_to_num(),
            values.nan_to_num(0.5),
            values.nan_to_num(torch.inf),
            values.nan_to_num(1.0, posinf=2.0),
            values.nan_to_num(0.0, 0.0, 0.0),
            values.nan_to_num(-torch.inf, neginf=-3.0),
        )


def test_missing_numbers_are_replaced_as_pytorch_does() -> None:
    values = torch.tensor([[1.0, torch.nan, torch.inf, -torch.inf, -2.5]] * 2)
    model = convert(WithoutNan(), [values], refusal="it", advice="")
    found = infer(compile_model(openvino.Core(), model, None), [values])
    for one, other in zip(found, WithoutNan()(values), strict=True):
        assert torch.equal(one, other)


def test_an_operation_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    context = dataclasses.replace(make_context(), network=Unknown().eval(), outputs=("values",))
    with pytest.raises(
        ConfigError, match=r"exporter openvino: it cannot be converted: .*export it to onnx or torch"
    ) as caught:
        make_exporter().write(context, tmp_path / "network.xml")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_whose_weights_are_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.xml"
    make_exporter().write(make_context(), path)
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be opened as a model of OpenVINO") as caught:
        make_exporter().open(path)
    assert "\n" not in str(caught.value)


def test_a_run_is_exported_and_proven_by_openvino_alone(tmp_path: Path) -> None:
    made = pose_core.export(make_run(tmp_path / "run"), "openvino", tmp_path / "out")
    network = made.contract["network"]
    assert made.contract["exporter"] == "openvino/openvino"
    assert network["file"] == "network.xml"
    assert sorted(network["files"]) == ["network.bin", "network.xml"]
    assert network["inputs"][0]["shape"] == [None, None, None, 3]
    assert made.proof["batches"] == [1, 3]
    assert made.proof["largest"] <= 1e-2
    core = openvino.Core()
    model = core.compile_model(core.read_model(tmp_path / "out" / "network.xml"), "CPU")
    pixels = np.zeros((5, 64, 128, 3), np.uint8)
    assert model({"image": pixels})["keypoints"].shape == (5, 1, 2, 2)
    with pytest.raises(ConfigError, match="compress_to_fp16"):
        pose_core.export(
            tmp_path / "run", "openvino", tmp_path / "other", settings={"compress_to_fp16": "maybe"}
        )
