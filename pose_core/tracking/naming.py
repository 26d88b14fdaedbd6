"""Name tracks by the identities that were stored with their animals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pose_core.interfaces.tracker import Tracklet


def name_tracks(tracklets: Sequence[Tracklet], tracks: Mapping[int, int]) -> dict[int, tuple[int, float]]:
    """Give each track the individual that its frames speak for most, and no individual to two at a time.

    Those that most frames speak for come first (greedily): of two tracks that overlap in time and have the same
    majority, the other one gets the name that speaks for it next.

    Args:
        tracklets: all.
        tracks: id of a tracklet -> its track.

    Returns:
        track -> (individual, share of the frames that speaks for it); tracks that nothing speaks for are left out.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    evidence: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for tracklet in tracklets:
        track = tracks.get(tracklet.id, -1)
        if track < 0 or not tracklet.identity.any():
            continue
        spans.setdefault(track, []).append((tracklet.first.frame, tracklet.last.frame))
        evidence[track] = evidence.get(track, 0.0) + tracklet.identity
        counts[track] = counts.get(track, 0) + tracklet.count
    pairs = [
        (-float(amount), track, individual)
        for track, amounts in evidence.items()
        for individual, amount in enumerate(amounts)
        if amount > 0
    ]
    taken: dict[int, list[tuple[int, int]]] = {}
    found: dict[int, tuple[int, float]] = {}
    for amount, track, individual in sorted(pairs):
        busy = taken.setdefault(individual, [])
        if track in found or any(a <= d and c <= b for a, b in spans[track] for c, d in busy):
            continue
        found[track] = individual, min(-amount / counts[track], 1.0)
        busy.extend(spans[track])
    return found
