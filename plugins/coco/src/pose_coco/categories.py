"""The categories of a COCO file: their keypoints and limbs, and which are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pose_coco.entries import check_unique, get_integer, get_list
from pose_core.errors import DataError, listed, setting

ALL = "all"

Limb = tuple[object, ...]


@dataclass(frozen=True)
class Category:
    """One entry of ``categories``.

    Attributes:
        id, name: of the category.
        keypoints: K names; none where the file names none.
        skeleton: pairs of keypoint numbers, unchecked.
    """

    id: int
    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[Limb, ...]


def parse_categories(path: Path, content: Mapping[str, object]) -> list[Category]:
    """Parse all categories, those without keypoints included.

    Raises:
        DataError: one is malformed, or lists a keypoint twice; or an id is used twice.
    """
    found = []
    for item in get_list(path, content, "categories"):
        number = get_integer(path, "category", item, "id")
        name = str(item.get("name", number))
        keypoints = item.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(k, str) and k.strip() for k in keypoints):
            raise DataError(f"{path}: category {name!r}: keypoints must be a list of names")
        if twice := sorted({k for k in keypoints if keypoints.count(k) > 1}):
            named = listed([repr(k) for k in twice], ", ")
            raise DataError(f"{path}: category {name!r} lists keypoint {named} twice")
        # Category files of detection data have null here.
        limbs = item.get("skeleton") or []
        if not isinstance(limbs, list) or not all(isinstance(limb, list) for limb in limbs):
            raise DataError(
                f"{path}: category {name!r}: skeleton must be a list of pairs of keypoint numbers"
            )
        found.append(Category(number, name, tuple(keypoints), tuple(tuple(limb) for limb in limbs)))
    check_unique(path, "category", [(category.id, category.name) for category in found])
    return found


def name_keypoints(
    path: Path, category: Category, counts: Iterable[tuple[str, int]], notes: list[str]
) -> Category:
    """Name the keypoints of a category that lists none, by their number in its annotations.

    Args:
        path: of the file, for messages.
        category: without keypoints.
        counts: what messages call an annotation of it, and the number of its keypoints, above 0.
        notes: gets a line where names are made up.

    Returns:
        the category; still without keypoints where its annotations have none.

    Raises:
        DataError: the annotations disagree.
    """
    first: dict[int, str] = {}
    for called, count in counts:
        first.setdefault(count, called)
    if len(first) > 1:
        different = listed([f"{called} has {count}" for count, called in sorted(first.items())], ", ")
        raise DataError(
            f"{path}: category {category.name!r} names no keypoints, and its annotations differ in their "
            f"number: {different}; list the names under keypoints of the category"
        )
    if not first:
        return category
    (count,) = first
    notes.append(
        f"{path}: category {category.name!r} names no keypoints; the {count} of its annotations are called "
        f"keypoint1 to keypoint{count}"
    )
    return replace(category, keypoints=tuple(f"keypoint{i + 1}" for i in range(count)))


def choose_categories(
    path: Path, categories: Sequence[Category], wanted: str | int | None
) -> tuple[Category, ...]:
    """Choose the categories to read; those chosen have the same keypoints.

    Args:
        path: of the file, for messages.
        categories: with keypoints.
        wanted: name or id, ``"all"``, or None for the only one.

    Raises:
        DataError: there is none, or no such one, or it is open which.
    """
    if not categories:
        raise DataError(f"{path}: no category has keypoints; these are annotations of boxes or masks only")
    described = [f"{c.name} (id {c.id}, {len(c.keypoints)} keypoints)" for c in categories]
    there = listed(described, ", ", most=8)
    different = next((c for c in categories if c.keypoints != categories[0].keypoints), None)
    if wanted is None:
        if len(categories) > 1:
            together = (
                "; all have the same keypoints, "
                f"{setting('data.reader.type=coco', 'data.reader.category=all')} reads them together"
                if different is None
                else ""
            )
            raise DataError(
                f"{path}: several categories have keypoints: {there}; choose one with "
                f"{setting('data.reader.type=coco', 'data.reader.category=NAME')}{together}"
            )
        return (categories[0],)
    if wanted == ALL:
        if different:
            raise DataError(
                f"{path}: category: all needs categories with the same keypoints, but {different.name!r} "
                "differs from "
                f"{categories[0].name!r}; choose one of {there}"
            )
        return tuple(categories)
    # YAML reads category: 1 as a number, --set as text; a name may be a number, too.
    chosen = [c for c in categories if wanted in (c.name, c.id) or str(wanted) == str(c.id)]
    if len(chosen) != 1:
        problem = "does not exist or has no keypoints" if not chosen else "is the name of several"
        raise DataError(f"{path}: category {wanted!r} {problem}; choose one of {there}")
    return (chosen[0],)


def read_limbs(path: Path, category: Category, base: str, notes: list[str]) -> list[tuple[str, str]]:
    """Read the limbs of a category as pairs of keypoint names.

    COCO counts keypoints from 1, about one published file in five from 0. The file tells: from 0 where a
    limb names keypoint 0 and none the last number, K, or a higher one. Both at once contradict each other, and
    the wrong choice would join wrong keypoints everywhere.

    Args:
        path: of the file, for messages.
        category: with keypoints.
        base: ``auto``, ``from_0``, ``from_1``, or ``none`` for no limbs at all.
        notes: gets a line for what is unusual or left out.

    Raises:
        DataError: it is open from what the limbs count.
    """
    names = category.keypoints
    if base == "none":
        return []
    limbs = [tuple(_as_number(end) for end in limb) for limb in category.skeleton]
    numbers = [end for limb in limbs for end in limb if isinstance(end, int)]
    first = 0 if base == "from_0" else 1
    if base == "auto" and 0 in numbers:
        beyond = [limb for limb in limbs if any(isinstance(e, int) and e >= len(names) for e in limb)]
        if beyond:
            zero = [limb for limb in limbs if 0 in limb]
            raise DataError(
                f"{path}: the skeleton of category {category.name!r} counts keypoints from 0 "
                f"({_show(zero)}) and from 1 ({_show(beyond)} of {len(names)} keypoints); say which with "
                f"{setting('data.reader.type=coco', 'data.reader.skeleton=from_1')}, from_0, or none to "
                "leave it out"
            )
        first = 0
    if first == 0 and base == "auto":
        notes.append(f"{path}: the skeleton of category {category.name!r} counts keypoints from 0")
    edges: dict[frozenset[str], tuple[str, str]] = {}
    left_out = []
    for limb in limbs:
        # Published files hold limbs to keypoints that were dropped (beyond the last): noted, not refused.
        ends = [_name(end, names, first) for end in limb]
        if len(ends) == 2 and ends[0] != ends[1] and ends[0] is not None and ends[1] is not None:
            # A limb may be listed in both directions.
            edges.setdefault(frozenset((ends[0], ends[1])), (ends[0], ends[1]))
        else:
            left_out.append(limb)
    if left_out:
        notes.append(
            f"{path}: left out of the skeleton, as they do not join two of the keypoints {first} to "
            f"{len(names) - 1 + first}: {_show(left_out)}"
        )
    return list(edges.values())


def _as_number(end: object) -> object:
    """Give a number of a limb as an integer, whether it is written as 3, 3.0 or "3"."""
    if isinstance(end, float) and end.is_integer():
        return int(end)
    if isinstance(end, str) and end.isascii() and end.isdecimal() and len(end) < 10:
        return int(end)
    return None if isinstance(end, bool) else end


def _name(end: object, names: Sequence[str], first: int) -> str | None:
    if isinstance(end, int):
        return names[end - first] if 0 <= end - first < len(names) else None
    return end if isinstance(end, str) and end in names else None


def _show(limbs: Sequence[Limb]) -> str:
    return listed([str(list(limb)) for limb in limbs], ", ")


def describe_categories(chosen: Sequence[Category], without: Sequence[Category]) -> list[str]:
    """Note which categories are read together, and which cannot be."""
    notes = []
    if len(chosen) > 1:
        notes.append("categories read together: " + ", ".join(c.name for c in chosen))
    if without:
        notes.append("categories without keypoints left out: " + ", ".join(c.name for c in without))
    return notes
