"""Join the parts of a video to its result: in order, through the tracker, to the writer; without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pose_core.errors import DataError, PoseError, VideoError
from pose_core.interfaces.prediction_files import make_writer
from pose_core.io.files import disk_errors, write_whole
from pose_core.io.frame_ranges import FrameRange
from pose_core.pipeline.selected_frames import SelectedFrames
from pose_core.pipeline.sources import FrameSource
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.frame_choice import parse_frame_choice
from pose_core.prediction.inputs import find_inputs
from pose_core.prediction.job import INDEX, name_partial
from pose_core.prediction.journal import Sizes, remove_leftover
from pose_core.prediction.result import MissingFrames, ResultFile
from pose_core.structures import FrameSpan
from pose_core.tracking.choose import Tracking
from pose_core.tracking.doubts_file import describe_doubts
from pose_core.workers.parts import DamagedPartError, cover, list_parts, read_frames, read_header
from pose_core.workers.plan import Plan, PlannedVideo


def describe_target(plan: Plan, video: PlannedVideo) -> ResultFile:
    """Describe the result of a planned video."""
    request = plan.request
    tracking = None
    if request["tracker"] is not None:
        tracking = Tracking.choose(request["tracker"], request["animals"])
    writer = make_writer(request["format"])
    depth = request["bit_depth"]
    reopen = partial(open_source, video, partial(VideoSource, bit_depth=depth, index=plan.out / INDEX), depth)
    return ResultFile(plan.out / f"{video.stem}{writer.extension}", writer, video.name, tracking, reopen)


def join_video(plan: Plan, video: PlannedVideo, worker: str, tell: Callable[[str], None]) -> None:
    """Write the result of a video of which all parts are there, and remove them.

    Done again, it writes the same. Memory does not grow with the number of frames.

    Args:
        plan: of the work.
        video: of it.
        worker: that joins, for names that no other uses.
        tell: gets lines for the user.

    Raises:
        DamagedPartError: a part cannot be read and was removed, or is not there; it is to be made again.
        DataError: the format cannot hold these predictions, or the tracker refuses them.
        PoseError: the disk is full, or a file is in the way.
    """
    target = describe_target(plan, video)
    parts = list_parts(plan.parts(video), plan.mark)
    reaches, due = cover(parts, 0, video.frames - 1)
    if due != video.frames:
        # They were when it was claimed: a worker that was thought dead has joined the video, or somebody removed parts.
        raise DamagedPartError(
            f"{video.name}: {due} of {video.frames} frames are there; the rest is made again"
        )
    sizes, devices = Sizes(), set()
    for reach in reaches:
        header, notes = read_header(reach.part)
        sizes = sizes.joined(Sizes.from_text(str(notes["sizes"])))
        devices.add(str(notes["device"]))
    device = "+".join(sorted(devices))
    # In the order of the note that a single process writes.
    maker = {**video.maker, "batch_size": plan.maker["batch_size"], "device": device, **plan.how}
    # For the tracker's ids and what is not whole: hidden, in the same file system, and of no other worker.
    folder = plan.home / "parts" / f".{worker}"
    with disk_errors(plan.out):
        folder.mkdir(exist_ok=True)
    try:
        seen, doubts = target.write(
            header, partial(read_frames, reaches), sizes, folder, {"maker": maker, "frames": video.frames}
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if doubts is not None:
        tell(f"{video.name}: {describe_doubts(target.path, doubts)}")
    content = {
        "result": target.path.name,
        "frames": video.frames,
        "missing": seen.runs,
        "reason": seen.reason,
        "doubtful": _find_doubtful(plan, video, seen, tell),
        "worker": worker,
    }
    with disk_errors(plan.out):
        write_whole(plan.done(video), json.dumps(content, indent=1))
    remove_parts(plan, video)
    remove_leftover(name_partial(plan.out, video.stem))


def remove_parts(plan: Plan, video: PlannedVideo) -> None:
    """Remove parts and claims of a video whose result is in place; another process may do the same."""
    plan.disk.remove_folder(plan.parts(video))
    plan.disk.remove_folder(plan.home / "claims" / video.stem)


def _find_doubtful(
    plan: Plan, video: PlannedVideo, seen: MissingFrames, tell: Callable[[str], None]
) -> list[FrameRange]:
    """Find what refers to missing frames, and remove what was read of the video for workers to come."""
    try:
        source = open_source(video, partial(VideoSource, index=plan.out / INDEX))
        doubtful = source.find_doubtful(seen.by_reason)
        source.remove_index()
    except (PoseError, OSError) as error:
        # The result is there, and the video is no longer needed for it.
        tell(
            f"note: {video.name}: can no longer be opened, so frames that refer to missing ones are not named ({error})"
        )
        return []
    return doubtful


def open_source(
    video: PlannedVideo, open_video: Callable[[Path], FrameSource], bit_depth: int | None = None
) -> FrameSource:
    """Open the source of a planned video.

    Args:
        video: of a plan.
        open_video: as for :func:`~pose_core.prediction.inputs.find_inputs`.
        bit_depth: likewise.

    Raises:
        VideoError: it does not open.
        DataError: it does not open, or has changed since the plan was made.
    """
    choice = None if video.choice is None else parse_frame_choice(video.choice)
    (found,) = find_inputs([Path(path) for path in video.paths], open_video, bit_depth, choice).found
    if not isinstance(found.source, FrameSource):
        raise found.source
    source: FrameSource = found.source
    check_source(video, source)
    if video.spans:
        source = SelectedFrames(source, [FrameSpan(*span) for span in video.spans])
    return source


def check_source(video: PlannedVideo, source: FrameSource) -> None:
    """Refuse a source that is not what it was when the plan was made.

    Raises:
        SourceChangedError: it has other contents, as far as size and time of its files tell.
        VideoError: it cannot be looked at.
    """
    try:
        identity = source.identity()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VideoError(f"{video.name}: cannot be read ({reason}); check the path") from None
    if json.loads(json.dumps(identity)) != video.source:
        raise SourceChangedError(
            f"{video.name}: has changed since the plan was made; predict it again when the others are done"
        )


class SourceChangedError(DataError):
    """A source is not what it was when the plan was made."""
