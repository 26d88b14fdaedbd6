"""Files of several images: a sequence, or refused by name before anything is predicted."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from tiny_run import make_run
from typer.testing import CliRunner

from pose_core.cli.main import app
from pose_core.data.projects import read_project
from pose_core.errors import DataError
from pose_core.io.images import read_image_file, read_image_size
from pose_core.io.tiff import TiffFile
from pose_core.pipeline.pages import PageSource
from pose_core.pipeline.sources import FrameSource
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.inputs import find_inputs
from pose_core.structures import ByteArray

PAGES = 7


def page(number: int, width: int = 72, height: int = 40, channels: int = 0) -> ByteArray:
    """A square whose place says the number of the page."""
    image = np.full((height, width, channels) if channels else (height, width), 60, np.uint8)
    image[10:22, 4 + 6 * number : 14 + 6 * number] = 230
    return image


def read_number(image: ByteArray) -> int:
    return (int((image[16, :, 0] > 150).argmax()) - 4) // 6


def numbers(source: FrameSource, start: int = 0) -> list[tuple[int, int]]:
    """Number of each frame, and the page that it shows."""
    found = []
    for frame in source.read(start):
        assert frame.load is not None, frame.reason
        found.append((frame.index, read_number(frame.load())))
    return found


def save(path: Path, images: list[Image.Image], **options: object) -> Path:
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def grey() -> list[Image.Image]:
    return [Image.fromarray(page(n)) for n in range(PAGES)]


def colour() -> list[Image.Image]:
    return [Image.fromarray(page(n, channels=3)) for n in range(PAGES)]


def with_thumbnails(path: Path) -> Path:
    """Each page has a reduced copy behind it, as microscopes leave them."""
    images, out = [], io.BytesIO()
    for image in grey():
        images += [image, image.resize((9, 5))]
    with TiffImagePlugin.AppendingTiffWriter(out, new=True) as writer:
        for number, image in enumerate(images):
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = number % 2
            image.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    path.write_bytes(out.getvalue())
    return path


def deep(path: Path) -> Path:
    assert cv2.imwritemulti(str(path), [page(n).astype(np.uint16) * 256 for n in range(PAGES)])
    return path


STACKS: dict[str, Callable[[Path], Path]] = {
    "plain.tif": lambda path: save(path, grey()),
    "lzw.tiff": lambda path: save(path, grey(), compression="tiff_lzw"),
    "deflate.tif": lambda path: save(path, colour(), compression="tiff_adobe_deflate"),
    "jpeg.tif": lambda path: save(path, colour(), compression="jpeg", quality=95),
    "big.tif": lambda path: save(path, colour(), big_tiff=True),
    "bits.TIF": lambda path: save(path, [i.point(lambda v: 255 * (v > 99), "1") for i in grey()]),
    "palette.tif": lambda path: save(path, [i.quantize(8) for i in colour()]),
    "alpha.tif": lambda path: save(path, [i.convert("RGBA") for i in colour()]),
    "deep.tif": deep,
    "thumbnails.tif": with_thumbnails,
    "a.gif": lambda path: save(path, colour(), duration=40),
    "a.png": lambda path: save(path, colour(), duration=40),
}


@pytest.mark.parametrize("name", STACKS)
def test_page_n_is_frame_n(name: str, tmp_path: Path) -> None:
    path = STACKS[name](tmp_path / name)
    (found,) = find_inputs([path], VideoSource).found
    assert found.path == path
    assert (found.source.info.frames, found.source.info.width, found.source.info.height) == (PAGES, 72, 40)
    assert numbers(found.source) == [(n, n) for n in range(PAGES)]
    # A resumed prediction begins within the file.
    assert numbers(found.source, 4) == [(n, n) for n in range(4, PAGES)]


@pytest.mark.parametrize("name", STACKS)
def test_where_one_image_is_wanted_several_are_refused_by_name(name: str, tmp_path: Path) -> None:
    path = STACKS[name](tmp_path / name)
    for read in (read_image_size, read_image_file):
        with pytest.raises(DataError, match=rf"{name} holds {PAGES} images; convert it to a video or"):
            read(path)


@given(sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5))
def test_pages_of_any_size_are_those_that_were_written(
    sizes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = [
        np.random.default_rng(n).integers(0, 256, (h, w, 3), np.uint8) for n, (w, h) in enumerate(sizes)
    ]
    path = tmp_path_factory.getbasetemp() / "sizes.tif"
    save(path, [Image.fromarray(image) for image in images], compression="tiff_lzw")
    frames = list(PageSource(path).read())
    assert len(frames) == len(images)
    for frame, image in zip(frames, images, strict=True):
        assert frame.load is not None
        np.testing.assert_array_equal(frame.load(), image)


@pytest.mark.parametrize("name", ["one.tif", "one.webp", "one.gif", "one.png"])
def test_a_file_of_one_image_stays_one_image(name: str, tmp_path: Path) -> None:
    Image.fromarray(page(3, channels=3)).save(tmp_path / name, lossless=True)
    assert read_image_size(tmp_path / name) == (72, 40)
    assert read_number(read_image_file(tmp_path / name)) == 3
    (found,) = find_inputs([tmp_path / name], VideoSource).found
    assert numbers(found.source) == [(0, 3)]


def metamorph(path: Path) -> Path:
    """One page, and a tag that says how many planes lie behind it."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33629] = tuple([1] * 30)
    tags.tagtype[33629] = 4
    Image.fromarray(page(0)).save(path, tiffinfo=tags)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "animation.webp": (lambda path: save(path, colour(), duration=40), f"holds {PAGES} images"),
    "imagej.tif": (
        lambda path: save(path, grey()[:1], tiffinfo={270: "ImageJ=1.54f\nimages=4000\nframes=4000\n"}),
        "holds 4000 images",
    ),
    "metamorph.tif": (metamorph, "holds 30 images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_cannot_be_told_apart_are_refused_before_anything_is_predicted(
    name: str, tmp_path: Path
) -> None:
    make, reason = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name} {reason}; convert it") as caught:
        find_inputs([tmp_path / name], VideoSource)
    assert "\n" not in str(caught.value)


def test_a_stack_that_breaks_off_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "s.tif", grey())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"s\.tif cannot be decoded"):
        read_image_file(path)
    with pytest.raises(DataError, match=r"s\.tif cannot be decoded \(it breaks off\)"):
        PageSource(path)


def test_pages_in_a_circle_are_damage(tmp_path: Path) -> None:
    data = bytearray(save(tmp_path / "s.tif", grey()[:1]).read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    with pytest.raises(ValueError, match="circle"):
        TiffFile(io.BytesIO(data))


def test_folders_of_stacks_are_taken_file_by_file_and_mixed_ones_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.tif", "a.tif"):
        save(folder / name, grey())
    found = find_inputs([folder], VideoSource).found
    assert [i.path.name for i in found] == ["a.tif", "b.tif"]
    Image.fromarray(page(0)).save(folder / "single.tif")
    with pytest.raises(DataError, match=r"one image \(single.tif ...\) and of several \(a.tif: 7 ...\)"):
        find_inputs([folder], VideoSource)


def test_a_stack_is_predicted_page_by_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save(tmp_path / "stack.tif", grey())
    result = CliRunner().invoke(
        app, ["predict", str(run), str(tmp_path / "stack.tif"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    table = pq.read_table(tmp_path / "out" / "stack.parquet").to_pydict()
    assert sorted(set(table["frame"])) == list(range(PAGES))


@pytest.mark.parametrize("name", ["labelled.tif", "labelled.png", "labelled.webp"])
def test_a_labelled_project_names_a_file_of_several_images(name: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    save(tmp_path / "images" / name, colour())
    (tmp_path / "project.yaml").write_text("keypoints: [nose]\n")
    (tmp_path / "labels.csv").write_text(
        f"image,individual,keypoint,x,y,occluded\nimages/{name},animal,nose,9,9,0\n"
    )
    with pytest.raises(DataError, match=rf"{name} holds {PAGES} images"):
        read_project(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of several images of each format."""
    folder = tmp_path_factory.mktemp("whole")
    made = {
        name: STACKS[name](folder / name).read_bytes() for name in ("lzw.tiff", "big.tif", "a.gif", "a.png")
    }
    return made | {"a.webp": save(folder / "a.webp", colour(), duration=40).read_bytes()}


@given(
    name=st.sampled_from(["lzw.tiff", "big.tif", "a.gif", "a.png", "a.webp"]),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    kept=st.floats(0.05, 1),
)
def test_whatever_is_damaged_ends_in_a_line_that_names_the_file(
    name: str,
    places: list[tuple[float, int]],
    kept: float,
    whole: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = bytearray(whole[name])
    for place, value in places:
        data[int(place * len(data))] = value
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data[: int(kept * len(data))])
    said: list[str] = []
    for read in (read_image_size, read_image_file, load_pages):
        try:
            read(path)
        except DataError as error:
            said.append(str(error))
    # Whatever else is raised fails the test.
    assert all(name in line and "\n" not in line for line in said)


def load_pages(path: Path) -> None:
    for frame in PageSource(path).read():
        assert frame.load is not None
        frame.load()
