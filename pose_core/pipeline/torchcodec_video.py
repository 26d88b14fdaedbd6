"""Read frames from videos by torchcodec; beside a GPU of CUDA they are decoded there, and do not pass through the host.

The frames, their numbers and times are those of :class:`~pose_core.io.video.VideoFile`, which finds them in the file's
packets; torchcodec makes the pictures. Where data are damaged it may show something wrong without a word.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pose_core.errors import ConfigError, VideoError
from pose_core.io.frame_pictures import to_rgb
from pose_core.pipeline.sources import SourceFrame
from pose_core.pipeline.video import VideoSource
from pose_core.structures import ByteArray

CLOSE = 2.0
"""Grey levels, in the mean of a picture, by which a GPU may convert colours differently: rounding is below one,
another standard (BT.601 or BT.709) or range is above."""

_AT_ONCE = 16

_CHOOSE = "choose inference.decoder=ffmpeg"


class _Metadata(Protocol):
    begin_stream_seconds: float | None


class _Frame(Protocol):
    data: Tensor


class _Batch(Protocol):
    data: Tensor
    pts_seconds: Tensor


class _Decoder(Protocol):
    """What is used of ``torchcodec.decoders.VideoDecoder``."""

    metadata: _Metadata

    def __len__(self) -> int: ...

    def get_frame_at(self, index: int) -> _Frame: ...

    def get_frames_in_range(self, start: int, stop: int) -> _Batch: ...


def import_torchcodec() -> ModuleType:
    """Import ``torchcodec.decoders``.

    Raises:
        ConfigError: it is not installed, or does not fit torch, or finds no FFmpeg.
    """
    try:
        return importlib.import_module("torchcodec.decoders")
    except ModuleNotFoundError:
        raise ConfigError(
            "inference.decoder torchcodec: it is not installed: pip install torchcodec, in the version that fits torch "
            f"{torch.__version__}; or {_CHOOSE}"
        ) from None
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"inference.decoder torchcodec: cannot be loaded ({_first_line(error)}); it needs the version that fits "
            f"torch {torch.__version__}, and shared libraries of FFmpeg; or {_CHOOSE}"
        ) from error


class TorchcodecSource(VideoSource):
    """Read a video whose pictures torchcodec decodes.

    Args:
        path: of the video.
        device: where they are decoded if it is one of CUDA; else on the CPU.
        threads: of the decoder on the CPU; 0 lets FFmpeg choose.
        index: as for :class:`pose_core.io.video.VideoFile`.

    Raises:
        ConfigError: torchcodec cannot be used here.
        VideoError: the file is missing or no video; or torchcodec would show other frames than our own reader.
    """

    def __init__(
        self, path: Path | str, device: torch.device, threads: int = 1, index: Path | None = None
    ) -> None:
        module = import_torchcodec()
        super().__init__(path, threads, None, index)
        self._module = module
        self._device = device if device.type == "cuda" else torch.device("cpu")
        self._threads = threads
        self._check(self._open())

    @property
    def notes(self) -> list[str]:
        """What to know of the file, and of the decoder."""
        return [
            *super().notes,
            "is decoded by torchcodec, which does not tell damaged frames from whole ones",
        ]

    @property
    def unseekable(self) -> str | None:
        """None: torchcodec goes to key frames by itself."""
        return None

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Decode the frames from ``start`` on.

        Raises:
            VideoError: one cannot be decoded, or is not the one of its number.
        """
        timeline, decoder = self._video.timeline, self._open()
        for first in range(start, timeline.frames, _AT_ONCE):
            stop = min(first + _AT_ONCE, timeline.frames)
            try:
                batch = decoder.get_frames_in_range(first, stop)
            except RuntimeError as error:
                raise VideoError(
                    f"{self._video.path} frames {first} to {stop - 1}: torchcodec cannot decode them "
                    f"({_first_line(error)}); {_CHOOSE}, which goes on and names those that are damaged"
                ) from error
            self._check_times(batch.pts_seconds, first, decoder)
            for number, picture in enumerate(batch.data, first):
                time = float(timeline.times[number])
                yield SourceFrame(
                    number,
                    partial(_to_host, picture),
                    time=None if np.isnan(time) else time,
                    on_device=picture if self._device.type == "cuda" else None,
                )

    def _open(self) -> _Decoder:
        # One for each pass: several may be under way, each at its own frame.
        try:
            decoder: _Decoder = self._module.VideoDecoder(
                str(self._video.path),
                stream_index=self._video.stream,
                dimension_order="NHWC",
                num_ffmpeg_threads=self._threads,
                device=str(self._device),
                seek_mode="exact",
            )
        except (RuntimeError, ValueError) as error:
            raise VideoError(
                f"{self._video.path}: torchcodec cannot open it ({_first_line(error)}); {_CHOOSE}"
            ) from error
        return decoder

    def _check(self, decoder: _Decoder) -> None:
        """Refuse a file of which torchcodec shows other frames than our reader, as far as numbers and frame 0 tell."""
        path, timeline = self._video.path, self._video.timeline
        if self._video.bits != 8:
            raise VideoError(f"{path}: has samples of {self._video.bits} bits; {_CHOOSE}")
        if len(decoder) != timeline.frames or (timeline.packets < 0).any():
            there = f"{(timeline.packets >= 0).sum()} of its {timeline.frames} frames have data"
            raise VideoError(f"{path}: {there}, and torchcodec finds {len(decoder)}; {_CHOOSE}")
        _, first, reason = next(self._video.frames())
        if first is None or reason is not None:
            raise VideoError(f"{path} frame 0: {reason}; {_CHOOSE}")
        wanted = to_rgb(first)
        try:
            found = _to_host(decoder.get_frame_at(0).data)
        except RuntimeError as error:
            raise VideoError(
                f"{path} frame 0: torchcodec cannot decode it ({_first_line(error)}); {_CHOOSE}"
            ) from error
        if found.shape != wanted.shape:
            shown, stored = (f"{image.shape[1]} x {image.shape[0]}" for image in (found, wanted))
            raise VideoError(f"{path}: torchcodec shows {shown} pixels instead of {stored}; {_CHOOSE}")
        off = float(np.abs(found.astype(np.int16) - wanted).mean())
        if off > (CLOSE if self._device.type == "cuda" else 0.0):
            raise VideoError(
                f"{path} frame 0: torchcodec's colours are off by {off:.2g} of 255 in the mean; {_CHOOSE}"
            )

    def _check_times(self, seconds: Tensor, first: int, decoder: _Decoder) -> None:
        timeline = self._video.timeline
        found = seconds.cpu().numpy() - (decoder.metadata.begin_stream_seconds or 0.0)
        late = np.abs(found - timeline.times[first : first + len(found)])
        # Half a frame. Where the file has no times they are NaN, which is not late.
        wrong = np.flatnonzero(late > max(0.5 * timeline.step, 1e-3))
        if len(wrong):
            where = f"{self._video.path} frame {first + wrong[0]}"
            raise VideoError(f"{where}: torchcodec shows one that is {late[wrong[0]]:.3g} s away; {_CHOOSE}")


def _to_host(picture: Tensor) -> ByteArray:
    array: ByteArray = picture.cpu().numpy()
    return array


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
