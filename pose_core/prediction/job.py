"""Predict one source into one file, resumably.

Beside each result lies a small JSON file, ``<result>.info``, that says what made it: hashes of weights and
model, the source, versions, and which frames are missing. By it a repeated command knows that there is
nothing left to do.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from pose_core.catalog import get_catalog
from pose_core.catalog.composition import CORE, namespaces_in
from pose_core.errors import DataError, PoseError, argument
from pose_core.escapes import escape_name
from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.io.files import disk_errors, parse_json
from pose_core.io.name_lengths import check_name_allowed, fit_stem, get_longest_name
from pose_core.model.weights import file_hash
from pose_core.pipeline.sources import FrameSource
from pose_core.pipeline.threads import Timing
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.inputs import Input
from pose_core.prediction.journal import Journal, find_begun, remove_leftover
from pose_core.prediction.result import NOTE_ENDING, Outcome, ResultFile
from pose_core.runs.run_folder import Run, environment
from pose_core.structures import Region
from pose_core.tracking.choose import Tracking
from pose_core.tracking.doubts_file import describe_doubts, name_doubts

# What else takes part in the numbers is free to differ between a finished result and a repeated command.
_DECIDES = ("source", "frames", "region", "weights", "model", "sources", "format", "tracker")

INDEX = ".index"
"""Folder, beside the results, of what was read of videos that are being predicted."""

_SHOWN = 500
"""Frames decoded in vain, from which on it is said why."""

_RUNTIME = "runtime"

_PARTIAL_ENDING = ".partial"


class Job:
    """Predict a source into a file.

    Args:
        run: of the model.
        source: to be predicted.
        name: how the source is called in the result.
        stem: name of the result without extension.
        out: folder of the result.
        writer: of the format.
        identity: of the run, as :func:`identify` says.
        region: the part of frames to look at; None: all.
        tracking: how animals are followed when all frames are predicted; None: they are not.
        origin: the input that the source was made of; None: it was made by hand.

    Attributes:
        stem: name of the result without extension; :meth:`fit_names` may shorten it.
    """

    def __init__(
        self,
        run: Run,
        source: FrameSource,
        name: str,
        stem: str,
        out: Path,
        writer: Writer,
        identity: Mapping[str, str],
        region: Region | None = None,
        tracking: Tracking | None = None,
        origin: Input | None = None,
    ) -> None:
        self.run = run
        self.origin = origin
        self.tracking = tracking
        self.region = region
        self._identity = identity
        self.source = source
        self.name = name
        self.writer = writer
        self._out = out
        self.stem = stem

    @property
    def result(self) -> Path:
        """The file of predictions."""
        return self._out / f"{self.stem}{self.writer.extension}"

    @property
    def target(self) -> ResultFile:
        """The result, to be written."""
        return ResultFile(self.result, self.writer, self.name, self.tracking, lambda: self.source)

    @property
    def partial(self) -> Path:
        """The hidden folder of what is not yet whole."""
        return name_partial(self._out, self.stem)

    def fit_names(self) -> str | None:
        """Shorten the result's name where one of the names that are made of it would be too long.

        Returns:
            a line that says how it is called now; None where it keeps its name.
        """
        whole, ending = self.stem, self.writer.extension
        ends = (f"{ending}{NOTE_ENDING}", f".{_PARTIAL_ENDING}")
        self.stem = fit_stem(whole, ends, get_longest_name(self._out))
        if self.stem == whole:
            return None
        return f"{self.name}: the result's name would be too long, so it is shortened to {self.result.name}"

    def check_names(self) -> None:
        """Check that the file system takes the names of the result; its folder must exist.

        Raises:
            PoseError: it does not.
        """
        check_name_allowed(self.target.note)
        if self.tracking is not None:
            check_name_allowed(name_doubts(self.result))

    def check(self, overwrite: bool) -> Outcome | None:
        """Check whether the result is there.

        Returns:
            what became of the source when it was predicted before by the same model, else None.

        Raises:
            PoseError: there is a file of that name, and it is not the result of this source and model.
        """
        if overwrite or not self.result.exists():
            return None
        try:
            note = parse_json(self.target.note.read_text(encoding="utf-8"))
            former, frames, missing = (
                dict(note["maker"]),
                int(note["frames"]),
                [(a, b) for a, b in note["missing"]],
            )
        except (OSError, ValueError, KeyError, TypeError):
            raise PoseError(
                f"{self.result}: exists, and no {self.target.note.name} beside it says what made "
                f"it; add {argument('overwrite', True)} or "
                f"choose another {argument('out')}"
            ) from None
        maker = self.describe_maker()
        if differs := [key for key in _DECIDES if former.get(key) != maker[key]]:
            words = {
                "model": f"model or way of using it ({argument('follow')} ...)",
                "frames": f"choice of frames ({argument('frames')})",
            }
            named = " and ".join(words.get(key, key) for key in differs)
            raise PoseError(
                f"{self.result}: exists and was made with another {named}; add "
                f"{argument('overwrite', True)} or choose another {argument('out')}"
            )
        # From a process that was killed after it had put the result in place.
        remove_leftover(self.partial)
        return Outcome(self.result, frames, missing)

    def choose_runtime(self, estimator: PoseEstimator, frames: int) -> None:
        """Let the networks be computed by what began the unfinished result, or else by what is best.

        Args:
            estimator: of the run; changes only where its runtime is ``auto``.
            frames: that are to be predicted, of all sources.

        Raises:
            PoseError: the source breaks off in a way that cannot be recorded.
        """
        if not estimator.computing.auto:
            return
        # Numbers of another runtime differ in the last digits: with it, the work would begin anew.
        begun = find_begun(self.partial, self.describe_kept(estimator), _RUNTIME)
        if isinstance(begun, str) and estimator.computing.use(begun):
            return
        estimator.computing.choose(frames, lambda: self._try_out(estimator))

    def _try_out(self, estimator: PoseEstimator) -> int:
        """Predict the first batch and keep nothing; returns the number of its frames."""
        frames = []
        for frame in islice(self.source.read(), estimator.batch_size):
            # One that is damaged will be marked as missing, which is no matter of time.
            with suppress(PoseError):
                if frame.load is not None:
                    frames.append((frame, frame.load()))
        if frames:
            estimator.pipeline.run_once(
                [image for _, image in frames],
                frames[0][0].index,
                region=self.region,
                names=[frame.image for frame, _ in frames],
                given=[frame.given for frame, _ in frames],
            )
        return len(frames)

    def predict(
        self,
        estimator: PoseEstimator,
        tell: Callable[[str], None] = lambda line: None,
        progress: Callable[[int], None] = lambda frames: None,
    ) -> Outcome:
        """Predict all frames and write the result; go on where an interrupted run of the same kind stopped.

        Args:
            estimator: of the run.
            tell: gets lines for the user.
            progress: gets the number of frames done so far, now and then.

        Raises:
            PoseError: the source breaks off in a way that cannot be recorded, the disk is full, the format
                cannot hold the result. What was predicted is kept for another try.
        """
        info = self.source.info
        if not info.frames:
            raise DataError(f"{self.name}: has no frames; name another file")
        header = self.make_header()
        journal = Journal(self.partial, self.describe_kept(estimator), header, self.source.numbers)
        try:
            if journal.note:
                tell(f"{self.name}: {journal.note}")
            for line in self.source.notes:
                tell(f"note: {self.name}: {line}")
            if not journal.locked:
                tell(
                    f"{self._out}: this file system knows no locks; do not run two predictions of one video "
                    "there"
                )
            first = int(self.source.numbers[journal.done]) if journal.done < info.frames else 0
            if first > _SHOWN and (reason := self.source.unseekable) is not None:
                tell(f"note: {self.name}: {reason}, so all frames before frame {first} are decoded, too")
            # Afterwards, so that what was tried is kept as well.
            with disk_errors(self._out, "run the command again to go on"):
                self.source.keep_index()
            timing = self._predict_rest(estimator, journal, progress)
            if journal.done != info.frames:
                raise ValueError(f"{journal.done} of {info.frames} frames are there")
            note = {"maker": {**self.describe_maker(), **describe_machine(estimator)}, "frames": info.frames}
            with timing.measure("write"):
                seen, doubts = self.target.write(header, journal.frames, journal.sizes, journal.folder, note)
            if doubts is not None:
                tell(f"{self.name}: {describe_doubts(self.result, doubts)}")
            timing.finish()
            journal.remove()
            self.source.remove_index()
        finally:
            journal.close()
        doubtful = self.source.find_doubtful(seen.by_reason)
        return Outcome(self.result, info.frames, seen.runs, seen.reason, doubtful, timing)

    def _predict_rest(
        self, estimator: PoseEstimator, journal: Journal, progress: Callable[[int], None]
    ) -> Timing:
        timing = Timing()
        progress(journal.done)
        if journal.done == self.source.info.frames:
            return timing
        done = journal.done
        try:
            # Closed at once where writing fails: else the threads of the pipeline would run on until the
            # generator is collected.
            with closing(
                estimator.pipeline.run(self.source, journal.done, timing, journal.last(), self.region)
            ) as results:
                for result in results:
                    with timing.measure("write"):
                        journal.append(result.frames, result.sizes)
                    done += len(result.frames)
                    progress(done)
        except BaseException:
            # Whatever stops the work (Ctrl-C, a damaged file), what is finished is kept; a disk that is full
            # already has been reported.
            with suppress(PoseError):
                journal.flush()
            raise
        journal.flush()
        return timing

    def make_header(self) -> PredictionsHeader:
        """Make the header of the predictions, as it is before all frames are there."""
        info = self.source.info
        return replace(
            _make_header(self.run, escape_name(self.name), self.region),
            frames=self.source.total,
            selected=self.source.selected,
            width=info.width,
            height=info.height,
            fps=info.fps,
        )

    def describe_kept(self, estimator: PoseEstimator) -> dict[str, object]:
        """What parts of an unfinished result are kept for."""
        # What is predicted is the same in any format, and whoever follows animals then.
        maker = {k: v for k, v in self.describe_maker().items() if k not in ("format", "tracker")}
        return {**maker, **describe_machine(estimator)}

    def describe_maker(self) -> dict[str, object]:
        """Describe what decides the result, in plain values."""
        return {
            "source": self.source.identity(),
            "frames": ",".join(map(str, self.source.selected)) or None,
            "region": None if self.region is None else list(self.region),
            **self._identity,
            "format": self.writer.config.model_dump(mode="json"),
            "tracker": None if self.tracking is None else self.tracking.to_json(),
        }


def name_partial(out: Path, stem: str) -> Path:
    """Name the hidden folder of a result that is not yet whole."""
    return out / f".{stem}{_PARTIAL_ENDING}"


def list_plugins(run: Run, *types: str) -> list[str]:
    """List the plugins that take part in a prediction: those of a run, and of further components by full names."""
    content = run.spec.model_dump(mode="json", exclude={"train", "augmentation"})
    named = namespaces_in(content, get_catalog().kinds) | {name.rpartition("/")[0] for name in types}
    return sorted(named - {CORE, ""})


def describe_environment(plugins: Iterable[str]) -> dict[str, object]:
    """Versions that take part in the numbers: of torch, the core, and some plugins by name."""
    here = environment()
    installed = here["plugins"] if isinstance(here["plugins"], dict) else {}
    return {
        "torch": here["torch"],
        "pose_core": here["pose_core"],
        "plugins": {name: installed.get(name, "not installed") for name in plugins},
    }


def describe_machine(estimator: PoseEstimator) -> dict[str, object]:
    """Describe what else takes part in the numbers; a repeated command does not ask for it once the result is there."""
    return {
        "batch_size": estimator.batch_size,
        "device": estimator.device.type,
        _RUNTIME: estimator.computing.name,
        "precision": estimator.spec.inference.precision,
        "torch": torch.__version__,
        "pose_core": importlib.metadata.version("pose-core"),
    }


def name_result(run: Run, name: str, writer: Writer) -> str:
    """Name the result of a source, without extension, as the format wants it."""
    # By the path itself, not as text: the result's name gets the bytes that the video's has.
    return writer.stem(_make_header(run, name))


def _make_header(run: Run, source: str, region: Region | None = None) -> PredictionsHeader:
    """Make the header of predictions, but for what their frames say."""
    return PredictionsHeader(
        skeleton=run.spec.finds,
        source=source,
        frames=0,
        width=0,
        height=0,
        fps=0.0,
        model=run.name,
        run=escape_name(run.path),
        metadata={**run.spec.metadata, **({} if region is None else {"region": str(region)})},
    )


def identify(estimator: PoseEstimator) -> dict[str, str]:
    """Hash the weights, configuration and sources of an estimator."""
    run = estimator.run
    model = run.spec.model_dump(mode="json", include={"skeleton", "model", "inference", "metadata"})
    # Like the device, the runtime is said in the note, and may differ between a finished result and a repeated command.
    # And what was accepted changes no number.
    for key in ("runtime", "accept_drift"):
        del model["inference"][key]
    sources = (
        ", ".join(f"{name} {identity}" for name, identity in sorted(estimator.supplied.items())) or "none"
    )
    return {"weights": file_hash(run.weights_file), "model": _hash_content(model), "sources": sources}


def _hash_content(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
