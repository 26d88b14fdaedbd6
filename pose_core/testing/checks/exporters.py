"""Level 1: exporters."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.catalog import find_missing_package
from pose_core.errors import PoseError
from pose_core.interfaces.exporter import Exporter, ExporterContext, WrittenNetwork
from pose_core.model.runner import find_difference
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_SIZES = ((1, 64, 96), (3, 96, 64))
"""Images, height and width, none of them that of the example."""

_STEM = "network"


class _Network(nn.Module):
    """What exported networks are made of, small: bytes, convolutions, a maximum and what lies around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.heatmap = nn.Conv2d(8, 2, 1)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        images, poses = tensors
        floats = (
            images.permute(0, 3, 1, 2).to(torch.float32) / 255 + poses.mean((1, 2, 3))[:, None, None, None]
        )
        maps = self.heatmap(self.first(floats))
        height, cell = maps.flatten(2).max(-1)
        rows = cell.div(maps.shape[-1], rounding_mode="floor")
        places = torch.stack([cell - rows * maps.shape[-1], rows], dim=-1).float()
        return places[:, None], height.sigmoid()[:, None]


def _make_tensors(images: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(images)
    pixels = torch.randint(0, 256, (images, height, width, 3), dtype=torch.uint8, generator=random)
    return pixels, torch.rand(images, 1, 2, 2, generator=random)


def _make_context() -> ExporterContext:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Network().eval()
    return ExporterContext(
        network,
        ("image", "initial_keypoints"),
        ("keypoints", "keypoint_scores"),
        _make_tensors(2, 64, 64),
        False,
        32,
        "a network",
    )


def _make_exporter(subject: ComponentSubject) -> Exporter:
    factory = subject.component.factory()
    if (missing := find_missing_package(factory)) is not None:
        raise skip(f"needs {missing}")
    made: Exporter = factory(subject.config)
    return made


@contextmanager
def _written(subject: ComponentSubject) -> Iterator[tuple[Exporter, ExporterContext, Path, WrittenNetwork]]:
    exporter, context = _make_exporter(subject), _make_context()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name) / "exported" / f"{_STEM}{exporter.suffix}"
        path.parent.mkdir()
        yield exporter, context, path, exporter.write(context, path)


def _compute(network: nn.Module, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    with torch.inference_mode():
        return network(*tensors)  # type: ignore[no-any-return]


@check(1, "exporter")
def check_exporter_writes_the_network(subject: ComponentSubject) -> None:
    """The file computes what the network does, of any number of images, and says in numbers and texts what it needs."""
    with _written(subject) as (exporter, context, path, written):
        demand(path.is_file(), f"it writes no {path.name}")
        wrong = [key for key, value in written.needs.items() if not isinstance(value, int | str)]
        demand(not wrong, f"what the file needs must be numbers and texts; {', '.join(wrong)} is none")
        run = exporter.open(path)
        for images, height, width in _SIZES:
            if written.fixed_size:
                height, width = context.example[0].shape[1:3]
            tensors = _make_tensors(images, height, width)
            problem = find_difference(
                run([each.clone() for each in tensors]), _compute(context.network, tensors)
            )
            demand(problem is None, f"for {images} images of {height} x {width} the file gives {problem}")


@check(1, "exporter")
def check_exporter_writes_what_can_be_moved(subject: ComponentSubject) -> None:
    """Files that lie in another folder compute the same: they hold no path of the folder where they were written."""
    with _written(subject) as (exporter, context, path, _):
        moved = path.parent.with_name("moved")
        shutil.move(path.parent, moved)
        tensors = _make_tensors(3, 64, 64)
        try:
            found = exporter.open(moved / path.name)(tensors)
        except Exception as error:
            raise AssertionError(f"moved, the file raises {type(error).__name__}: {error}") from None
        problem = find_difference(found, _compute(context.network, tensors))
        demand(problem is None, f"moved, the file gives {problem}")


@check(1, "exporter")
def check_exporter_keeps_its_hands_off(subject: ComponentSubject) -> None:
    """It leaves network and example as they are, and writes nothing but files that begin with the name of its own."""
    with _written(subject) as (_, context, path, _):
        demand(
            not any(part.training for part in context.network.modules()),
            "it puts the network into training mode",
        )
        before = _make_context()
        state = before.network.state_dict()
        changed = [n for n, value in context.network.state_dict().items() if not torch.equal(value, state[n])]
        demand(not changed, f"it changes {', '.join(changed)} of the network")
        demand(all(map(torch.equal, context.example, before.example)), "it changes the example")
        others = [each.name for each in path.parent.iterdir() if not each.name.startswith(_STEM)]
        demand(not others, f"it writes {', '.join(others)}, which do not begin with {_STEM}")


@check(1, "exporter")
def check_exporter_refuses_damaged_files(subject: ComponentSubject) -> None:
    """A damaged file is refused by an error of pose_core of one line, when it is opened or computed."""
    with _written(subject) as (exporter, _, path, _):
        for file in path.parent.iterdir():
            file.write_bytes(b"\x00" * 64)
        try:
            exporter.open(path)(_make_tensors(1, 64, 64))
        except PoseError as error:
            demand("\n" not in str(error), "a damaged file is refused in several lines")
            return
        except Exception as error:
            raise AssertionError(
                f"a damaged file raises {type(error).__name__}; raise a DataError that names the file"
            ) from None
        raise AssertionError("a damaged file is opened and computed as if it were whole")


CHECKS = (
    check_exporter_writes_the_network,
    check_exporter_writes_what_can_be_moved,
    check_exporter_keeps_its_hands_off,
    check_exporter_refuses_damaged_files,
)
