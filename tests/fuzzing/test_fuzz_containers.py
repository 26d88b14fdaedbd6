"""2900 damaged videos: cut, spoilt, joined, mixed; prediction tells what is missing and never falls over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pose_core.synthetic.videos import write_numbered_video

from .conftest import Material
from .mutate import put
from .oracle import Example, check, fuzz

FAMILY = "containers"

KINDS = (
    ("a.mp4", "libx264", {"bf": "2"}),
    ("b.avi", "mpeg4", {}),
    ("c.avi", "mjpeg", {}),
    ("d.mkv", "ffv1", {}),
    ("e.ts", "mpeg2video", {"bf": "2"}),
    ("f.mov", "libx264", {}),
    ("g.webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    ("h.mpg", "mpeg1video", {}),
)
"""File, codec and its options: containers with an index at the end, at the front, in blocks, and with none."""

FRAMES = 16


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A whole video of each kind."""
    folder = tmp_path_factory.mktemp("containers")
    for name, codec, options in KINDS:
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        write_numbered_video(
            folder / name, FRAMES, codec=codec, options=options, pixels=pixels, keyframe_every=6
        )
    return [folder / name for name, _, _ in KINDS]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _cut_front(data: bytes, rng: random.Random) -> bytes:
    return data[rng.randrange(len(data)) :]


def _flip(data: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 10, 100))):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def _flip_front(data: bytes, rng: random.Random) -> bytes:
    """Most of what a container says about itself stands in its first few hundred bytes."""
    return _flip(data[:600], rng) + data[600:]


def _zero(data: bytes, rng: random.Random) -> bytes:
    """A block that was never written, as after a power failure."""
    start = rng.randrange(len(data))
    size = min(rng.choice((16, 512, 4096)), len(data) - start)
    return data[:start] + bytes(size) + data[start + size :]


def _drop(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 7, 188, 512, 4096)) :]


def _twice(data: bytes, rng: random.Random) -> bytes:
    """Two recordings, one behind the other (cat a b)."""
    return data + (data if rng.random() < 0.5 else _cut_front(data, rng))


def _empty(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\0" * 5000, data[:20], b"RIFF", b"not a video\n"))


SPOIL: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_cut, _cut, _cut_front, _flip, _flip, _flip_front, _flip_front, _zero, _drop, _twice, _empty),
)


def make_container(material: Material, videos: list[Path], rng: random.Random, folder: Path) -> Example:
    """One damaged video and the command that predicts it, or draws on it."""
    source = rng.choice(videos)
    spoil = rng.choice(SPOIL)
    # What a file is called and what it holds need not agree: half of all .avi are something else.
    name = source.name if rng.random() < 0.9 else f"x{rng.choice(videos).suffix}"
    put(folder / name, spoil(source.read_bytes(), rng))
    about = f"{source.name} as {name}, {spoil.__name__}"
    if rng.random() < 0.15:
        predictions = material.predictions / "video.parquet"
        return Example(["render", predictions, folder / name, "--out", folder / "out.mp4"], about)
    command = ["predict", material.run, folder / name, "--out", folder / "out", "--device", "cpu"]
    return Example(command, about)


def test_fuzz_some_containers(material: Material, videos: list[Path], tmp_path: Path) -> None:
    check(
        fuzz(
            FAMILY,
            range(2900, 2916),
            lambda rng, folder: make_container(material, videos, rng, folder),
            tmp_path,
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_fuzz_2900_containers(material: Material, videos: list[Path], tmp_path: Path, part: int) -> None:
    numbers = range(290 * part, 290 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_container(material, videos, rng, folder), tmp_path))
