"""2900 odd names of videos, images, folders and labels: a path that exists is that file."""

from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path

import pytest

from pose_core.pipeline.sources import IMAGE_EXTENSIONS

from .conftest import Material, copy
from .mutate import put
from .oracle import Example, check, fuzz

FAMILY = "names"

PIECES = (
    *(
        b":",
        b"12:30:05",
        b"file:",
        b"http:",
        b"pipe:0",
        b"concat:",
        b"data:,",
        b"C:",
        b"\\",
        b"%",
        b"%d",
        b"%03d",
    ),
    *(
        b"%s%n",
        b"{0}",
        b"{name}",
        b"*",
        b"?",
        b"[ab]",
        b"[",
        b"]",
        b"'",
        b'"',
        b"`",
        b"$HOME",
        b"$(x)",
        b"!",
        b"#",
    ),
    *(
        b"&",
        b";",
        b"|",
        b"<",
        b">",
        b"(",
        b")",
        b"=",
        b",",
        b"@",
        b"~",
        b"^",
        b"-",
        b"--help",
        b"-o",
        b" ",
        b"  ",
    ),
    *(
        b"\t",
        b"\n",
        b"\r",
        b"\x1b[31m",
        b"\x7f",
        b"\xe9",
        b"\xff\xfe",
        b"\xc3",
        b"\x80",
        b".",
        b"..",
        b".mp4",
    ),
    *(b".png", b".parquet", b".info", b".partial", b"con", b"null", b"nan", b"a" * 60, b"a" * 190),
    *(
        text.encode()
        for text in ("é", unicodedata.normalize("NFD", "é"), "鼠", "ß", "ﬁ", "😀", "\u202e", "\u2028")
    ),
    *(b"A", b"a", b"1", b"007", b"mouse", b"day1"),
)
"""What names of files are made of that have been seen to mislead a program."""


def make_name(rng: random.Random, ending: bytes) -> bytes:
    """A name that a Linux file system takes: 1 to 255 bytes without ``/`` and NUL."""
    stem = b"".join(rng.choice(PIECES) for _ in range(rng.choice((1, 1, 2, 2, 3, 5, 8))))
    return stem[: 255 - len(ending)] + ending


def _is_short(*names: bytes) -> bool:
    """Whether all results can be called after it, in any format; for longer ones a line may say that they can not."""
    return all(len(name) < 120 for name in names)


def make_names(material: Material, rng: random.Random, folder: Path) -> Example:
    """One or more files of odd names, and a command that reads them."""
    return rng.choice((_video, _video, _videos, _images, _label))(material, rng, folder)


def _path(folder: Path, name: bytes, rng: random.Random) -> str:
    """A path as users write it: absolute, or relative (the command runs in ``folder``)."""
    text = os.fsdecode(name)
    # A leading dash would be an option: people write ./ before it, as with every command.
    return text if rng.random() < 0.5 and not text.startswith("-") else str(folder / text)


def _link(source: Path, place: Path) -> None:
    """Make the file, unless the name is taken (``..``)."""
    if not os.path.lexists(place):
        place.hardlink_to(source)


def _video(material: Material, rng: random.Random, folder: Path) -> Example:
    name = make_name(rng, rng.choice((b".mp4", b".MP4", b".mp4", b"")))
    place = folder / os.fsdecode(name)
    _link(material.predictions / "video.mp4", place)
    format = rng.choice(("parquet", "parquet", "dlc-csv", "dlc-h5", "coco"))
    command = ["predict", str(material.run), _path(folder, name, rng), "--out", str(folder / "out")]
    # A video that is called .png is no image, and so cannot be decoded.
    image = place.suffix.lower() in IMAGE_EXTENSIONS
    codes = (0,) if _is_short(name) and place.is_file() and not image else (0, 2)
    return Example([*command, "--format", format, "--device", "cpu"], f"video {name!r}, {format}", codes)


def _videos(material: Material, rng: random.Random, folder: Path) -> Example:
    inner = folder / "in" / (os.fsdecode(make_name(rng, b"")[:200].strip(b".")) or "x")
    inner.mkdir(parents=True)
    names = {make_name(rng, b".mp4") for _ in range(2)}
    for name in names:
        _link(material.predictions / "video.mp4", inner / os.fsdecode(name))
    command = ["predict", str(material.run), inner, "--out", str(folder / "out")]
    # Two names may ask for one result; the line that says so is right.
    return Example([*command, "--device", "cpu"], f"folder {inner.name!r} of {names!r}")


def _images(material: Material, rng: random.Random, folder: Path) -> Example:
    names = {make_name(rng, rng.choice((b".png", b".PNG", b".png"))) for _ in range(3)}
    (folder / "images").mkdir()
    for name in names:
        _link(material.own / "images" / "clip" / "0.png", folder / "images" / os.fsdecode(name))
    command = ["predict", str(material.run), str(folder / "images"), "--out", str(folder / "out")]
    format = rng.choice(("parquet", "dlc-csv", "coco"))
    # Of an image called .png alone nothing but an ending is left.
    codes = (0,) if _is_short(*names) and all(name.lower() != b".png" for name in names) else (0, 2)
    return Example([*command, "--format", format, "--device", "cpu"], f"images {names!r}, {format}", codes)


def _label(material: Material, rng: random.Random, folder: Path) -> Example:
    """A project whose labels name an image that is called otherwise, or nearly so, on the disk."""
    project = copy(material.own, folder / "project")
    images, table = project / "images" / "clip", project / "labels.csv"
    name = make_name(rng, b".png")
    place = images / os.fsdecode(name)
    if os.path.lexists(place):
        return Example(["train", project, "--model", "unet", "--out", folder / "out"], "the name is taken")
    (images / "3.png").rename(place)
    written = rng.choice(
        (name, name.swapcase(), name.upper(), _other_form(name), b"Z:\\lab\\images\\clip\\" + name)
    )
    cell = written.replace(b'"', b'""')
    put(table, table.read_bytes().replace(b"images/clip/3.png", b'"images/clip/' + cell + b'"'))
    return Example(
        ["train", project, "--model", "unet", "--out", folder / "out"], f"label {written!r} for {name!r}"
    )


def _other_form(name: bytes) -> bytes:
    """The same accents in the other form of Unicode."""
    text = os.fsdecode(name)
    form = "NFC" if unicodedata.is_normalized("NFD", text) else "NFD"
    return os.fsencode(unicodedata.normalize(form, text))


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_names(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2900, 2916), lambda rng, folder: make_names(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2900_names(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(290 * part, 290 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_names(material, rng, folder), tmp_path))
