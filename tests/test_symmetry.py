"""Left and right told from names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.structures import Skeleton
from pose_core.symmetry import symmetry_from_names

PAIRS = [
    ("leftear", "rightear"),
    ("left_ear", "right_ear"),
    ("ear_left", "ear_right"),
    ("L_ear", "R_ear"),
    ("l-ear", "r-ear"),
    ("earL", "earR"),
    ("LEar", "REar"),
    ("leftEar", "rightEar"),
    ("EarLeft", "EarRight"),
    ("LEFT_EAR", "RIGHT_EAR"),
    ("hind_left_paw2", "hind_right_paw2"),
    ("left1", "right1"),
    ("paw1L", "paw1R"),
    ("LF", "RF"),
    ("EarL2", "EarR2"),
    ("paw_L_front", "paw_R_front"),
    ("ear_l_1", "ear_r_1"),
    ("frontleftpaw", "frontrightpaw"),
    ("paw_FL", "paw_FR"),
    ("LHPaw", "RHPaw"),
    ("lhip", "rhip"),
    ("left_eye_left_corner", "right_eye_right_corner"),
    ("left pfote", "right pfote"),
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_a_pair_is_found_whichever_side_comes_first(left: str, right: str) -> None:
    assert symmetry_from_names(["nose", left, right]) == ((left, right),)
    assert symmetry_from_names([right, "nose", left]) == ((left, right),)


@pytest.mark.parametrize(
    "names",
    [
        ["snout", "tail", "neck"],
        ["leftear", "tail"],
        ["bright", "tail"],
        ["lip", "rip"],
        ["lid", "rid"],
        ["tail", "tair"],
        ["leftear", "right_ear"],
        # Two names that mean the same left ear: it is not clear which one changes places.
        ["left_ear", "leftEar", "right_ear"],
    ],
)
def test_what_is_not_clearly_a_pair_is_left_alone(names: list[str]) -> None:
    assert symmetry_from_names(names) == ()


def test_pairs_come_in_the_order_of_the_names() -> None:
    names = ["nose", "right_eye", "left_paw", "left_eye", "right_paw"]
    assert symmetry_from_names(names) == (("left_eye", "right_eye"), ("left_paw", "right_paw"))


def test_coco_persons() -> None:
    parts = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    names = ["nose", *(f"{side}_{part}" for part in parts for side in ("left", "right"))]
    assert symmetry_from_names(names) == tuple((f"left_{part}", f"right_{part}") for part in parts)


WORDS = st.sampled_from(
    [
        "left",
        "right",
        "l",
        "r",
        "L",
        "R",
        "Left",
        "Right",
        "ear",
        "Ear",
        "hip",
        "paw",
        "F",
        "H",
        "1",
        "2",
        "_",
        "-",
        "é",
    ]
)
NAMES = st.lists(
    st.lists(WORDS, min_size=1, max_size=4).map("".join) | st.text(min_size=1, max_size=6),
    max_size=12,
    unique=True,
)


@given(NAMES)
def test_every_name_is_in_one_pair_at_most_and_pairs_are_of_given_names(names: list[str]) -> None:
    flat = [name for pair in symmetry_from_names(names) for name in pair]
    assert len(flat) == len(set(flat))
    assert set(flat) <= set(names)


@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(names: list[str], random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(symmetry_from_names(shuffled)) == set(symmetry_from_names(names))


@given(NAMES)
def test_mirroring_twice_changes_nothing(names: list[str]) -> None:
    names = [name for name in names if name.strip()] or ["nose"]
    skeleton = Skeleton(keypoints=tuple(names), symmetry=symmetry_from_names(names))
    mirror = skeleton.mirror_indices
    assert [mirror[i] for i in mirror] == list(range(len(names)))
