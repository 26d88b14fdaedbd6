"""Width and height from the header of an image file."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.errors import DataError
from pose_core.io.images import read_image_size

EXTENSIONS = [".png", ".jpg", ".bmp", ".tiff", ".webp"]


def _encoded(extension: str, width: int, height: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(extension, noise)[1].tobytes()


def _with_orientation(jpeg: bytes, orientation: int, order: str) -> bytes:
    """The same JPEG with an EXIF segment that says how it is to be turned."""
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = mark + struct.pack(order + "HIH", 42, 8, 1) + entry + struct.pack(order + "I", 0)
    payload = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


@given(st.sampled_from(EXTENSIONS), st.integers(1, 70), st.integers(1, 70))
def test_the_size_is_that_of_the_decoded_image(
    tmp_path_factory: pytest.TempPathFactory, extension: str, width: int, height: int
) -> None:
    file = tmp_path_factory.getbasetemp() / f"image{extension}"
    file.write_bytes(_encoded(extension, width, height))
    assert read_image_size(file) == (width, height)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_jpeg_that_lies_on_its_side_has_the_size_it_is_shown_with(
    tmp_path: Path, orientation: int, order: str
) -> None:
    file = tmp_path / "turned.jpg"
    file.write_bytes(_with_orientation(_encoded(".jpg", 40, 24), orientation, order))
    height, width = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert read_image_size(file) == (width, height)
    assert (width, height) == ((24, 40) if orientation >= 5 else (40, 24))


def test_a_png_is_not_decoded(tmp_path: Path) -> None:
    """Of a project with many frames only the headers are read: the pixels may even be missing."""
    whole = _encoded(".png", 64, 48)
    file = tmp_path / "cut.png"
    file.write_bytes(whole[: whole.index(b"IDAT") + 40])
    assert read_image_size(file) == (64, 48)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"text, no image", b"\xff\xd8\xff\xc0\x00"]
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png cannot be decoded") as caught:
        read_image_size(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read image .*nowhere\.png: no such file"):
        read_image_size(tmp_path / "nowhere.png")
