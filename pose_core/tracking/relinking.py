"""Join tracklets again, as a person decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pose_core.interfaces.tracker import Tracklet
from pose_core.tracking.corrections import Cuts, Decision
from pose_core.tracking.linking import WINDOW, solve_window


def relink_tracklets(
    tracklets: Sequence[Tracklet],
    tracks: Mapping[int, int],
    decisions: Sequence[Decision],
    cuts: Cuts,
    animals: int,
) -> dict[int, int]:
    """Say to which animal each tracklet belongs, given what is decided.

    What begins before the first decision stays as it was. At the frame of each decision all tracklets are cut: those
    that it names go to its animals, others stay with theirs, and those whose animal was given away are free. What is
    free, and what begins later, is joined to the ends of paths as without corrections.

    Args:
        tracklets: after the cuts, by their first frames.
        tracks: id of a tracklet before the cuts -> its track without corrections.
        decisions: by frame.
        cuts: at their frames.
        animals: how many there are.

    Returns:
        id of a tracklet -> its animal, numbered as without corrections; tracklets that belong to none are left
        out. No two of an animal share a frame.
    """
    frames = sorted({decision.frame for decision in decisions})
    found = {
        tracklet.id: tracks[tracklet.id]
        for tracklet in tracklets
        if tracklet.first.frame < frames[0] and tracks.get(tracklet.id, -1) >= 0
    }
    heads = {found[t.id]: t for t in tracklets if t.id in found}
    for frame, following in zip(frames, [*frames[1:], None], strict=True):
        decided = {
            cuts.rename(decision.tracklet, frame): decision.animal
            for decision in decisions
            if decision.frame == frame
        }
        taken = set(decided.values())
        for before, after in cuts.list_continuations(frame).items():
            if before in found and found[before] not in taken and after not in decided:
                found[after] = found[before]
        found.update(decided)
        begun = [
            t
            for t in tracklets
            if t.first.frame >= frame and (following is None or t.first.frame < following)
        ]
        # A piece in which the animal is never seen is no tracklet, and only hands its animal on.
        heads.update({found[t.id]: t for t in begun if t.id in found})
        free = [t for t in begun if t.id not in found]
        for start in range(0, len(free), WINDOW):
            _join(heads, free[start : start + WINDOW], found, tracks, animals)
    there = {tracklet.id for tracklet in tracklets}
    return {tracklet: animal for tracklet, animal in found.items() if tracklet in there}


def _join(
    heads: dict[int, Tracklet],
    free: Sequence[Tracklet],
    found: dict[int, int],
    tracks: Mapping[int, int],
    animals: int,
) -> None:
    """Join free tracklets to the ends of paths, and put both up to date."""
    window = [*heads.values(), *free]
    labels: dict[int, int] = dict(enumerate(heads))
    for row, before in solve_window(window, animals, len(heads)):
        if before is not None:
            labels[row] = labels[before]
        else:
            unused = [animal for animal in range(animals) if animal not in heads]
            usual = tracks.get(window[row].id, -1)
            labels[row] = usual if usual in unused else unused[0]
        found[window[row].id] = labels[row]
        heads[labels[row]] = window[row]
