"""Skeletons as .slp files have them: a graph over one list of nodes, in the JSON of the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pose_core.structures import Skeleton
from pose_core.symmetry import symmetry_from_names

_EDGE, _SYMMETRY = 1, 2


@dataclass(frozen=True)
class SlpSkeleton:
    """A skeleton of a .slp file.

    Attributes:
        name: as the file has it; may be empty.
        nodes: names of the keypoints, in the order of an instance's points.
        edges: pairs of names, source first.
        pairs: symmetric pairs of names; their order says nothing of left and right.
    """

    name: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]

    def order_pairs(self) -> tuple[tuple[tuple[str, str], ...], list[str]]:
        """Order the symmetric pairs as left and right, by their names.

        Returns:
            the pairs (left, right), and lines about what was decided: a pair whose names say no side keeps
            the order of the nodes; without any pair, names that tell left and right make pairs.
        """
        told = symmetry_from_names(self.nodes)
        if not self.pairs:
            notes = [f"left/right pairs, told from the names: {_join(told)}"] if told else []
            return told, notes
        sides = {frozenset(pair): pair for pair in told}
        ordered = tuple(sides.get(frozenset(pair), pair) for pair in self.pairs)
        notes = []
        if without := [pair for pair in self.pairs if frozenset(pair) not in sides]:
            notes.append(
                f"symmetric pairs whose names say no side are taken as left/right in the order of nodes: "
                f"{_join(without)}"
            )
        pairs = {frozenset(pair) for pair in self.pairs}
        if more := [pair for pair in told if frozenset(pair) not in pairs]:
            notes.append(
                f"{_join(more)} look like left and right, and the skeleton does not pair them; they are not"
            )
        return ordered, notes


def parse_skeletons(metadata: dict[str, Any]) -> list[SlpSkeleton]:
    """Parse the skeletons in a file's metadata.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the metadata are spoilt.
    """
    names = [str(node["name"]) for node in metadata["nodes"]]
    return [_parse(skeleton, names) for skeleton in metadata["skeletons"]]


def parse_object_graph(content: dict[str, Any]) -> SlpSkeleton:
    """Parse a skeleton whose nodes are written out where they are first named, as in training_config.json.

    jsonpickle numbers nodes and types of links as they appear, and names a later one by its number.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the skeleton is spoilt.
    """
    graph = content.get("nx_graph", content)
    defined: list[str | int] = []
    links = [
        {key: _read_object(value, defined) for key, value in link.items()} for link in graph.get("links", ())
    ]
    nodes = [_read_object(node["id"], defined) for node in graph["nodes"]]
    names = list(dict.fromkeys(value for value in defined if isinstance(value, str)))
    plain = [
        {
            **link,
            "source": names.index(link["source"]),
            "target": names.index(link["target"]),
            "type": {"py/reduce": [{"py/tuple": [link["type"]]}]},
        }
        for link in links
    ]
    found = {**graph, "links": plain, "nodes": [{"id": names.index(node)} for node in nodes]}
    return _parse(found, names)


def _read_object(value: Any, defined: list[str | int]) -> Any:
    """Read the name of a node, or the type of a link; anything else is returned as it is."""
    if not isinstance(value, dict):
        return value
    if "py/id" in value:
        number = int(value["py/id"])
        if not 1 <= number <= len(defined):
            raise ValueError(f"the skeleton refers to object {number}, which is defined nowhere")
        return defined[number - 1]
    if "py/state" in value:
        state = value["py/state"]
        found: str | int = str(state["py/tuple"][0] if "py/tuple" in state else state["name"])
    else:
        found = _read_type(value)
    defined.append(found)
    return found


def _parse(content: dict[str, Any], names: Sequence[str]) -> SlpSkeleton:
    graph = content.get("nx_graph", content)
    ids = [_check_id(node["id"], len(names)) for node in graph["nodes"]]
    if len(set(ids)) != len(ids):
        raise ValueError("a skeleton holds a node twice")
    defined: list[int] = []
    edges: list[tuple[int, tuple[str, str]]] = []
    pairs: list[tuple[str, str]] = []
    order = {node: i for i, node in enumerate(ids)}
    for number, link in enumerate(graph["links"]):
        kind = _read_kind(link["type"], defined)
        ends = [_check_id(link[end], len(names)) for end in ("source", "target")]
        # A link of a node that the skeleton no longer has.
        if not set(ends) <= set(ids) or ends[0] == ends[1]:
            continue
        if kind == _EDGE:
            inserted = link.get("edge_insert_idx", number)
            edges.append((int(inserted), (names[ends[0]], names[ends[1]])))
        elif kind == _SYMMETRY:
            first, second = sorted(ends, key=order.__getitem__)
            pairs.append((names[first], names[second]))
    nodes = tuple(names[node] for node in ids)
    if len(set(nodes)) != len(nodes):
        raise ValueError("two nodes of a skeleton have one name")
    if not nodes:
        raise ValueError("a skeleton has no nodes")
    # Old files hold each symmetric pair in both directions.
    unique = list(dict.fromkeys(pairs))
    partners = [name for pair in unique for name in pair]
    if twice := [name for name in partners if partners.count(name) > 1]:
        raise ValueError(f"node {twice[0]!r} is in two symmetric pairs")
    edges.sort(key=lambda edge: edge[0])
    name = str(graph.get("graph", {}).get("name") or content.get("name") or "")
    return SlpSkeleton(name, nodes, tuple(dict.fromkeys(edge for _, edge in edges)), tuple(unique))


def _read_kind(content: dict[str, Any], defined: list[int]) -> int:
    """Read the type of a link; one that was defined before is referred to by its number, from 1."""
    if "py/id" in content:
        number = int(content["py/id"])
        if not 1 <= number <= len(defined):
            raise ValueError(f"a link of the skeleton has type {number}, which is defined nowhere")
        return defined[number - 1]
    defined.append(_read_type(content))
    return defined[-1]


def _read_type(content: dict[str, Any]) -> int:
    values = [
        part["py/tuple"][0] for part in content["py/reduce"] if isinstance(part, dict) and "py/tuple" in part
    ]
    if len(values) != 1:
        raise ValueError("a link of the skeleton has no type")
    return int(values[0])


def _check_id(value: object, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise ValueError(f"a skeleton refers to node {value!r} of {count}")
    return value


def describe_skeleton(skeleton: Skeleton, name: str) -> dict[str, Any]:
    """Describe a skeleton for the metadata of a .slp file: ``nodes`` and ``skeletons``."""
    at = {keypoint: i for i, keypoint in enumerate(skeleton.keypoints)}
    links: list[dict[str, Any]] = []
    seen: dict[int, int] = {}

    def describe_kind(kind: int) -> dict[str, Any]:
        if kind in seen:
            return {"py/id": seen[kind]}
        seen[kind] = len(seen) + 1
        return {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]}

    for number, (first, second) in enumerate(skeleton.edges):
        links.append(
            {
                "edge_insert_idx": number,
                "key": 0,
                "source": at[first],
                "target": at[second],
                "type": describe_kind(_EDGE),
            }
        )
    for first, second in skeleton.symmetry:
        links.append({"key": 0, "source": at[first], "target": at[second], "type": describe_kind(_SYMMETRY)})
    return {
        "nodes": [{"name": keypoint, "weight": 1.0} for keypoint in skeleton.keypoints],
        "skeletons": [
            {
                "directed": True,
                "graph": {"name": name, "num_edges_inserted": len(skeleton.edges)},
                "links": links,
                "multigraph": True,
                "nodes": [{"id": i} for i in range(len(skeleton.keypoints))],
            }
        ],
    }


def _join(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{first}/{second}" for first, second in pairs)
