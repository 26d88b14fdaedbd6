"""What comes out of every kind of image: one decoder, the same numbers from images and from videos."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_run import make_run

import pose_core
from pose_core.data.bit_depth import decide_bit_depth
from pose_core.data.images import read_image
from pose_core.errors import DataError
from pose_core.io.images import decode_image, read_image_file, read_image_size
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.inputs import find_inputs
from pose_core.reporting import Reporter
from pose_core.structures import EmbeddedImage, ImageFile, VideoFrame
from pose_core.training.prepare import prepare

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (14, 18), np.uint8)
RGB = RNG.integers(0, 256, (14, 18, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (14, 18), np.uint16)
DEEP_RGB = RNG.integers(0, 65536, (14, 18, 3), np.uint16)
BITS = (GREY > 128).astype(np.uint8) * 255
PALETTE = Image.fromarray(RGB).quantize(16)
BLOCKS = np.kron(RGB, np.ones((8, 8, 1), np.uint8))
CMYK = Image.fromarray(BLOCKS).convert("CMYK")
UNIT = RNG.random((14, 18)).astype(np.float32)


def pil(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def encode(image: Array, kind: str) -> bytes:
    return bytes(cv2.imencode(kind, image)[1])


def set_tag(data: bytes, tag: int, value: int) -> bytes:
    """Replace the number that a tag of the first page of a TIFF file holds."""
    changed = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    places = [start + 2 + 12 * i for i in range(count)]
    (place,) = [p for p in places if struct.unpack_from("<H", data, p)[0] == tag]
    struct.pack_into("<I", changed, place + 8, value)
    return bytes(changed)


def packed(values: Array, bits: int, **tags: int) -> bytes:
    """A TIFF file of grey samples of any number of bits, without a gap between them."""
    rows = b""
    for row in values:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows += int(text, 2).to_bytes(len(text) // 8, "big")
    height, width = values.shape
    entries = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: height,
        279: len(rows),
    }
    entries |= {int(tag.removeprefix("tag")): value for tag, value in tags.items()}
    body = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    rows += b"\0" * (len(rows) % 2)
    return (
        b"MM\0*"
        + struct.pack(">I", 8 + len(rows))
        + rows
        + struct.pack(">H", len(entries))
        + body
        + b"\0" * 4
    )


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Put a chunk behind the header of a PNG file."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk + png[33:]


def turned(kind: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    return pil(Image.fromarray(BLOCKS), kind, exif=exif, **options)


KINDS: dict[str, tuple[bytes, Array]] = {
    "grey PNG": (pil(Image.fromarray(GREY), "PNG"), GREY),
    "colour PNG": (pil(Image.fromarray(RGB), "PNG"), RGB),
    "grey and alpha": (
        pil(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]), "PNG"),
        GREY,
    ),
    "colour and alpha": (pil(Image.fromarray(np.dstack([RGB, GREY])), "PNG"), RGB),
    "colour and alpha TIFF": (pil(Image.fromarray(np.dstack([RGB, GREY])), "TIFF"), RGB),
    "colour and alpha WebP": (
        pil(Image.fromarray(np.dstack([RGB, GREY])), "WEBP", lossless=True, exact=True),
        RGB,
    ),
    "16-bit colour and alpha": (encode(np.dstack([DEEP_RGB[..., ::-1], DEEP]), ".png"), DEEP_RGB >> 8),
    "palette PNG": (pil(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB"))),
    "palette PNG with a transparent colour": (
        pil(PALETTE, "PNG", transparency=3),
        np.asarray(PALETTE.convert("RGB")),
    ),
    "palette GIF": (pil(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
    "palette BMP": (pil(PALETTE, "BMP"), np.asarray(PALETTE.convert("RGB"))),
    "palette TIFF": (pil(PALETTE, "TIFF"), np.asarray(PALETTE.convert("RGB"))),
    "1 bit PNG": (pil(Image.fromarray(GREY > 128), "PNG"), BITS),
    "1 bit BMP": (pil(Image.fromarray(GREY > 128), "BMP"), BITS),
    "1 bit TIFF": (pil(Image.fromarray(GREY > 128), "TIFF", compression="group4"), BITS),
    "1 bit TIFF, 0 is white": (set_tag(pil(Image.fromarray(GREY > 128), "TIFF"), 262, 0), 255 - BITS),
    "grey TIFF, 0 is white": (set_tag(pil(Image.fromarray(GREY), "TIFF"), 262, 0), 255 - GREY),
    "16-bit PNG": (encode(DEEP, ".png"), DEEP >> 8),
    "16-bit colour PNG": (encode(DEEP_RGB[..., ::-1], ".png"), DEEP_RGB >> 8),
    "16-bit TIFF": (encode(DEEP, ".tif"), DEEP >> 8),
    "16-bit colour TIFF": (encode(DEEP_RGB[..., ::-1], ".tif"), DEEP_RGB >> 8),
    "TIFF in 10 bits": (packed(DEEP >> 6, 10), DEEP >> 8),
    "TIFF in 12 bits": (packed(DEEP >> 4, 12), DEEP >> 8),
    "TIFF in 14 bits": (packed(DEEP >> 2, 14), DEEP >> 8),
    "float TIFF": (encode(UNIT, ".tif"), np.rint(UNIT * 255).astype(np.uint8)),
    "double TIFF": (encode(UNIT.astype(np.float64), ".tif"), np.rint(UNIT.astype(np.float64) * 255)),
    "CMYK TIFF": (pil(CMYK, "TIFF", compression="tiff_lzw"), np.asarray(CMYK.convert("RGB"))),
    "CMYK JPEG": (pil(CMYK, "JPEG", quality=100, subsampling=0), np.asarray(CMYK.convert("RGB"))),
    "turned JPEG": (turned("JPEG", 6, quality=100, subsampling=0), np.rot90(BLOCKS, -1)),
    "turned PNG": (turned("PNG", 8), np.rot90(BLOCKS)),
    "turned WebP": (turned("WEBP", 3, lossless=True), BLOCKS[::-1, ::-1]),
    "turned TIFF": (pil(Image.fromarray(BLOCKS), "TIFF", tiffinfo={274: 6}), np.rot90(BLOCKS, -1)),
    "mirrored TIFF": (pil(Image.fromarray(BLOCKS), "TIFF", tiffinfo={274: 5}), BLOCKS.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_comes_out_as_viewers_show_it(kind: str, tmp_path: Path) -> None:
    data, expected = KINDS[kind]
    expected = np.stack([expected] * 3, axis=-1) if expected.ndim == 2 else expected
    path = tmp_path / "image"
    path.write_bytes(data)
    found = read_image_file(path)
    assert found.shape == expected.shape
    # JPEG is exact to a level in blocks of one colour; every other format to the bit.
    tolerance = 2 if "JPEG" in kind else 0
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    assert read_image_size(path) == (expected.shape[1], expected.shape[0])
    np.testing.assert_array_equal(decode_image(data, "within a file"), found)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(UNIT * 200, ".tif"), "floating-point values from 0.* to 199"),
        (encode(np.where(UNIT > 0.5, np.nan, UNIT).astype(np.float32), ".tif"), "floating-point values"),
        (encode(UNIT - 0.5, ".tif"), "floating-point values from -0.4"),
        (encode(DEEP.astype(np.int16), ".tif"), "samples of type int16"),
        (encode(DEEP.astype(np.int32), ".tif"), "samples of type int32"),
    ],
)
def test_samples_without_a_known_white_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"odd\.tif.*{reason}.*convert it to") as caught:
        decode_image(data, "odd.tif")
    assert "\n" not in str(caught.value)


def write_video(path: Path, frames: list[Array], pixels: str) -> Path:
    """Write 16-bit samples losslessly in a format of grey or of colour planes."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=20)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        for image in frames:
            frame = av.VideoFrame(image.shape[1], image.shape[0], pixels)
            # Planes of GBRP are in this order.
            planes = [image] if image.ndim == 2 else [image[..., c] for c in (1, 2, 0)]
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : plane.width] = values
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_an_image_and_a_video_of_one_scene_have_the_same_numbers(bits: int, tmp_path: Path) -> None:
    scene = (np.arange(64 * 64, dtype=np.uint16) << 4).reshape(64, 64) + np.uint16(7)
    video = write_video(tmp_path / "v.mkv", [scene >> (16 - bits)], f"gray{bits}le")
    cv2.imwrite(str(tmp_path / "low.png"), scene >> (16 - bits))
    cv2.imwrite(str(tmp_path / "high.png"), scene)
    (tmp_path / "packed.tif").write_bytes(packed(scene >> (16 - bits), bits))
    load = next(iter(VideoSource(video).read())).load
    assert load is not None
    seen = load()
    np.testing.assert_array_equal(seen[..., 0], scene >> 8)
    np.testing.assert_array_equal(read_image(VideoFrame(video, 0)), seen)
    np.testing.assert_array_equal(read_image(ImageFile(tmp_path / "low.png", bits)), seen)
    for name in ("high.png", "packed.tif"):
        np.testing.assert_array_equal(read_image(ImageFile(tmp_path / name)), seen)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colour_of_many_bits_has_the_same_numbers_too(bits: int, tmp_path: Path) -> None:
    scene = DEEP_RGB
    video = write_video(tmp_path / "v.mkv", [scene >> (16 - bits)], f"gbrp{bits}le")
    cv2.imwrite(str(tmp_path / "i.png"), scene[..., ::-1])
    np.testing.assert_array_equal(read_image(VideoFrame(video, 0)), read_image(ImageFile(tmp_path / "i.png")))


def test_a_video_of_12_bits_in_16_is_read_as_its_images_are(tmp_path: Path) -> None:
    scene = DEEP >> 4
    video = write_video(tmp_path / "v.mkv", [scene], "gray16le")
    cv2.imwrite(str(tmp_path / "i.png"), scene)
    images = [ImageFile(tmp_path / "i.png"), VideoFrame(video, 0)]
    assert decide_bit_depth(images)[0] == 12
    np.testing.assert_array_equal(read_image(VideoFrame(video, 0, 12))[..., 0], scene >> 4)
    np.testing.assert_array_equal(read_image(ImageFile(tmp_path / "i.png", 12))[..., 0], scene >> 4)
    with pytest.raises(DataError, match=r"v\.mkv frame 0: holds values up to 40\d\d, and 10 bits"):
        read_image(VideoFrame(video, 0, 10))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sBIT.png", lambda image, bits: with_chunk(encode(image, ".png"), b"sBIT", bytes([bits]))),
        ("MaxSampleValue.tif", lambda image, bits: packed(image, 16, tag281=2**bits - 1)),
        ("SMaxSampleValue.tif", lambda image, bits: packed(image, 16, tag341=2**bits - 1)),
    ],
)
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_depth_that_the_file_states_needs_no_decision(
    name: str, make: Callable[[Array, int], bytes], bits: int, tmp_path: Path
) -> None:
    image = DEEP >> (16 - bits)
    path = tmp_path / name
    path.write_bytes(make(image, bits))
    np.testing.assert_array_equal(read_image_file(path)[..., 0], DEEP >> 8)
    assert decide_bit_depth([ImageFile(path)]) == (None, ())


def test_values_that_a_png_shifted_up_are_not_shifted_twice(tmp_path: Path) -> None:
    bright, dark = (DEEP | 0x8000) & 0xFFF0, DEEP >> 8 << 4
    for name, image in (("bright", bright), ("dark", dark)):
        data = with_chunk(encode(image, ".png"), b"sBIT", bytes([12]))
        (tmp_path / f"{name}.png").write_bytes(data)
    images = [ImageFile(tmp_path / "bright.png"), ImageFile(tmp_path / "dark.png")]
    np.testing.assert_array_equal(read_image(images[0])[..., 0], bright >> 8)
    # The bright one tells how the dark one is meant.
    assert decide_bit_depth(images) == (16, ())
    np.testing.assert_array_equal(read_image(ImageFile(images[1].path, 16))[..., 0], dark >> 8)


def test_the_largest_value_of_a_page_is_not_taken_for_a_depth(tmp_path: Path) -> None:
    path = tmp_path / "statistic.tif"
    path.write_bytes(packed(DEEP >> 4, 16, tag281=3987))
    depth, notes = decide_bit_depth([ImageFile(path)])
    assert depth == 12
    assert len(notes) == 1


@given(peaks=st.lists(st.integers(0, 65535), min_size=1, max_size=4))
def test_the_depth_holds_every_image_and_no_image_alone(
    peaks: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("depth")
    images = []
    for number, peak in enumerate(peaks):
        cv2.imwrite(str(folder / f"{number}.png"), np.array([[0, peak]], np.uint16))
        images.append(ImageFile(folder / f"{number}.png"))
    depth, notes = decide_bit_depth(images)
    assert depth is not None
    assert max(peaks) < 2**depth
    assert depth == 10 or max(peaks) >= 2 ** (depth - 2)
    assert bool(notes) == (depth < 16)
    for image, peak in zip(images, peaks, strict=True):
        assert read_image(ImageFile(image.path, depth))[0, 1, 0] == peak >> (depth - 8)


def test_images_of_8_bits_are_not_decoded_to_decide(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(pil(Image.fromarray(GREY), "PNG")[:60])
    assert decide_bit_depth([ImageFile(tmp_path / "broken.png")]) == (None, ())


def test_an_embedded_image_takes_the_depth_as_a_file_does() -> None:
    assert EmbeddedImage(Path("a"), "0", "toy/reader", 12).bit_depth == 12
    data = encode(DEEP >> 4, ".png")
    np.testing.assert_array_equal(decode_image(data, "embedded", 12)[..., 0], DEEP >> 8)


def deep_project(folder: Path, bits: int) -> Path:
    """Four labelled images of 16 bits whose values use the lowest ones."""
    (folder / "images").mkdir(parents=True)
    rows = "image,individual,keypoint,x,y,occluded\n"
    for number in range(4):
        image = RNG.integers(0, 2**bits, (64, 64)).astype(np.uint16)
        image[0, 0] = 2**bits - 1
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        rows += f"images/{number}.png,animal,nose,20,{20 + number},0\n"
    (folder / "project.yaml").write_text("keypoints: [nose]\n")
    (folder / "labels.csv").write_text(rows)
    return folder


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_training_decides_the_depth_once_and_says_so(bits: int, tmp_path: Path) -> None:
    folder = deep_project(tmp_path / "project", bits)
    prepared = prepare(folder, "unet")
    assert prepared.spec.data.bit_depth == bits
    (note,) = [note for note in prepared.notes if "16-bit" in note]
    assert note.startswith(f"4 images are 16-bit with values up to {2**bits - 1} only: read as {bits} bits")
    assert {image.image.bit_depth for image in prepared.dataset.images} == {bits}
    stated = prepare(folder, "unet", assignments=["data.bit_depth=16"])
    assert (stated.spec.data.bit_depth, [n for n in stated.notes if "16-bit" in n]) == (16, [])


def test_an_ordinary_project_has_no_depth(blob_project: Path) -> None:
    prepared = prepare(blob_project, "unet")
    assert prepared.spec.data.bit_depth is None
    assert not [note for note in prepared.notes if "bit" in note]


class Notes(Reporter):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("kind", ["folder", "stack", "video"])
def test_prediction_reads_as_training_did_or_says_that_frames_are_dark(kind: str, tmp_path: Path) -> None:
    images = [DEEP >> 4 for _ in range(2)]
    path = tmp_path / {"folder": "in", "stack": "s.tif", "video": "v.mkv"}[kind]
    if kind == "folder":
        path.mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(path / f"{number}.png"), image)
    elif kind == "stack":
        assert cv2.imwritemulti(str(path), images)
    else:
        write_video(path, images, "gray16le")
    told = {}
    for name, depth in (("auto", "auto"), ("12", 12)):
        notes = Notes()
        run = make_run(tmp_path / f"run{name}", bit_depth=depth)
        estimator = pose_core.load(run, "cpu")
        (found,) = find_inputs([path], estimator.open_video, estimator.spec.data.decided_bit_depth()).found
        load = next(iter(found.source.read())).load
        assert load is not None
        np.testing.assert_array_equal(load()[..., 0], DEEP >> 4 >> (4 if depth == 12 else 8))
        pose_core.predict(run, path, tmp_path / f"out{name}", device="cpu", reporter=notes)
        told[name] = [line for line in notes.lines if "nearly black" in line]
    assert told["12"] == []
    assert len(told["auto"]) == 1
    # What the note advises makes the same frames right.
    assert "write bit_depth: 12 under data in" in told["auto"][0]
    config = tmp_path / "runauto" / "config.yaml"
    config.write_text(config.read_text().replace("bit_depth: auto", "bit_depth: 12"))
    assert pose_core.load(tmp_path / "runauto", "cpu").spec.data.decided_bit_depth() == 12
