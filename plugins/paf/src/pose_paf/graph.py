"""Which pairs of keypoints are limbs. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from pose_core.errors import ConfigError
from pose_core.structures import Skeleton

Pairs = tuple[tuple[int, int], ...]
"""Limbs as pairs of indices of keypoints, in the order of their maps."""

MOST_FULL = 105
"""Limbs that ``auto`` takes of a full graph at most (15 keypoints)."""

Graph = str | Sequence[tuple[str, str] | tuple[int, int]]
"""``auto``, ``skeleton``, ``bridged``, ``full``, ``pruned`` or pairs of names or indices."""


def choose_limbs(graph: Graph, skeleton: Skeleton) -> Pairs:
    """The limbs that a setting means for a skeleton.

    Args:
        graph: ``skeleton``: its edges; ``bridged``: these and the pairs that are two edges apart, so that an
            animal that lacks one keypoint holds together; ``full`` and, to begin with, ``pruned``: every
            pair; ``auto``: the skeleton where it connects all keypoints, else every pair where these are at
            most 105, else :func:`sparse_graph`; or the pairs themselves.
        skeleton: of the model.

    Raises:
        ConfigError: one line that says what is wrong with the graph and what to do.
    """
    k = skeleton.num_keypoints
    if k < 2:
        raise ConfigError("graph: part affinity fields join keypoints, but the skeleton has only one")
    edges = _distinct(skeleton.edge_indices)
    if graph == "auto":
        if is_connected(edges, k):
            return edges
        return full_graph(k) if k * (k - 1) // 2 <= MOST_FULL else sparse_graph(k, edges)
    if graph in ("full", "pruned"):
        return full_graph(k)
    if graph in ("skeleton", "bridged"):
        if not edges:
            raise ConfigError(
                f"graph: {graph} needs a skeleton with edges; add skeleton.edges or use graph: full"
            )
        _check_connected(
            edges, skeleton, f"the skeleton (graph: {graph})", "add skeleton.edges or use graph: full"
        )
        return edges if graph == "skeleton" else bridged_graph(k, edges)
    if isinstance(graph, str):
        raise ConfigError(
            f"graph: {graph!r} is none of auto, skeleton, bridged, full, pruned and no list of pairs"
        )
    pairs = tuple(_indices(pair, skeleton) for pair in graph)
    for i, pair in enumerate(pairs):
        if any(set(pair) == set(other) for other in pairs[:i]):
            raise ConfigError(f"graph: the pair {_named(pair, skeleton)} appears twice; leave one out")
    _check_connected(pairs, skeleton, "graph", "add a pair")
    return pairs


def full_graph(keypoints: int) -> Pairs:
    """Every pair, (0, 1), (0, 2) ..."""
    return tuple(combinations(range(keypoints), 2))


def bridged_graph(keypoints: int, edges: Pairs) -> Pairs:
    """Edges, and pairs of keypoints that have a neighbour in common."""
    # The neighbours of each keypoint; two keypoints with a common one are two edges apart.
    joined = [{j for e in edges for j in e if i in e} - {i} for i in range(keypoints)]
    known = {frozenset(e) for e in edges}
    more = [p for p in full_graph(keypoints) if frozenset(p) not in known and joined[p[0]] & joined[p[1]]]
    return (*edges, *more)


def sparse_graph(keypoints: int, edges: Pairs = ()) -> Pairs:
    """A graph of about three limbs a keypoint that connects all of them: the given edges, and from every
    keypoint to those 1, 2 and 5 places further in the list, around its end. It is always the same, unlike a
    random graph."""
    known = {frozenset(e) for e in edges}
    found = list(edges)
    for step in (1, 2, 5):
        for i in range(keypoints):
            a, b = sorted((i, (i + step) % keypoints))
            if a != b and frozenset((a, b)) not in known:
                known.add(frozenset((a, b)))
                found.append((a, b))
    return tuple(found)


def connected_parts(edges: Pairs, keypoints: int) -> list[list[int]]:
    """The connected parts of a graph, each in rising order."""
    root = list(range(keypoints))
    for a, b in edges:
        low, high = sorted((root[a], root[b]))
        root = [low if r == high else r for r in root]
    return [[i for i in range(keypoints) if root[i] == r] for r in sorted(set(root))]


def is_connected(edges: Pairs, keypoints: int) -> bool:
    """Whether every keypoint can be reached from every other."""
    return len(connected_parts(edges, keypoints)) == 1


def limb_names(limbs: Pairs, skeleton: Skeleton) -> tuple[tuple[str, str], ...]:
    """Limbs by the names of their keypoints."""
    return tuple((skeleton.keypoints[a], skeleton.keypoints[b]) for a, b in limbs)


def _distinct(edges: Pairs) -> Pairs:
    """Without those that join a keypoint with itself or stand there twice."""
    found: dict[frozenset[int], tuple[int, int]] = {}
    for a, b in edges:
        if a != b:
            found.setdefault(frozenset((a, b)), (a, b))
    return tuple(found.values())


def _indices(pair: tuple[str, str] | tuple[int, int], skeleton: Skeleton) -> tuple[int, int]:
    found: list[int] = []
    for end in pair:
        if isinstance(end, int):
            if not 0 <= end < skeleton.num_keypoints:
                raise ConfigError(
                    f"graph: there is no keypoint {end}; they count from 0 to {skeleton.num_keypoints - 1}"
                )
            found.append(end)
        elif end in skeleton.keypoints:
            found.append(skeleton.keypoints.index(end))
        else:
            raise ConfigError(
                f"graph: there is no keypoint {end!r}; there are {', '.join(skeleton.keypoints)}"
            )
    if found[0] == found[1]:
        raise ConfigError(
            f"graph: {skeleton.keypoints[found[0]]!r} is joined with itself; name two keypoints"
        )
    return found[0], found[1]


def _named(pair: tuple[int, int], skeleton: Skeleton) -> str:
    return " - ".join(skeleton.keypoints[i] for i in pair)


def _check_connected(edges: Pairs, skeleton: Skeleton, what: str, advice: str) -> None:
    found = connected_parts(edges, skeleton.num_keypoints)
    if len(found) > 1:
        alone = ", ".join(skeleton.keypoints[i] for i in min(found, key=lambda part: (len(part), part)))
        raise ConfigError(f"graph: {what} does not connect {alone} with the other keypoints; {advice}")
