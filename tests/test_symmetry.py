"""Left and right told from names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.side_words import SIDE_WORDS
from pose_core.structures import Skeleton
from pose_core.symmetry import find_sides, symmetry_from_names

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
    ("earl", "earr"),
    ("pawl1", "pawr1"),
    ("front_lpaw", "front_rpaw"),
    ("LFP", "RFP"),
    ("Lear", "Rear"),
    ("corner_tl", "corner_tr"),
    ("left_port", "right_port"),
]

WORDS_OF_LANGUAGES = [
    ("pfote_lft", "pfote_rgt"),
    ("wing_lt", "wing_rt"),
    ("LE", "RE"),
    ("auge_links", "auge_rechts"),
    ("linkes_ohr", "rechtes_ohr"),
    ("linke Vorderpfote", "rechte Vorderpfote"),
    ("augelinks", "augerechts"),
    ("bein_li", "bein_re"),
    ("patte_gauche", "patte_droite"),
    ("oeil_gauche", "oeil_droit"),
    ("patte_G", "patte_D"),
    ("patte_arg", "patte_ard"),
    ("pata_izquierda", "pata_derecha"),
    ("ojo_izquierdo", "ojo_derecho"),
    ("oreja_izq", "oreja_der"),
    ("pata_esquerda", "pata_direita"),
    ("olho_esq", "olho_dir"),
    ("zampa_sinistra", "zampa_destra"),
    ("occhio_sx", "occhio_dx"),
    ("ull_esquerre", "ull_dret"),
    ("poot_linker", "poot_rechter"),
    ("vänster_öra", "höger_öra"),
    ("vanster_ora", "hoger_ora"),
    ("venstre_oje", "hojre_oje"),
    ("vasen_silma", "oikea_silma"),
    ("lewe_oko", "prawe_oko"),
    ("lewa_lapa_2", "prawa_lapa_2"),
    ("levé_oko", "pravé_oko"),
    ("левая_лапа", "правая_лапа"),
    ("levoe_uho", "pravoe_uho"),
    ("ліве_око", "праве_око"),
    ("bal_fül", "jobb_fül"),
    ("sol_kulak", "sag_kulak"),
    ("αριστερό_αυτί", "δεξιό_αυτί"),
    ("左前肢", "右前肢"),
    ("zuo_er", "you_er"),
    ("ひだりみみ", "みぎみみ"),
    ("hidari_ashi", "migi_ashi"),
    ("왼쪽귀", "오른쪽귀"),
    ("왼발", "오른발"),
    ("좌측눈", "우측눈"),
    ("telinga_kiri", "telinga_kanan"),
    ("tai_trái", "tai_phải"),
    ("หูซ้าย", "หูขวา"),
    ("אוזן_שמאל", "אוזן_ימין"),
    ("العين_يسرى", "العين_يمنى"),
    ("auris_sinistra", "auris_dextra"),
    ("auris_sin", "auris_dex"),
    ("oculus_sinister", "oculus_dexter"),
    ("eye_os", "eye_od"),
    ("hoof_near", "hoof_off"),
    ("nearside_knee", "offside_knee"),
    ("whisker_ipsi", "whisker_contra"),
    ("paw_ipsilateral", "paw_contralateral"),
    ("fin_port", "fin_starboard"),
]


@pytest.mark.parametrize(("left", "right"), [*PAIRS, *WORDS_OF_LANGUAGES])
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
        ["ear_1", "ear_2"],
        ["leg", "reg"],
        ["all", "arr"],
        ["lamp", "ramp"],
        ["lever", "rever"],
        ["lear", "rear"],
        ["led", "red"],
        ["light", "right"],
        ["lib_upper", "rib_upper"],
        ["paw1LH", "paw4RH"],
        ["linkes_ohr", "right_ohr"],
        ["levier", "revier"],
        # Letters that count, not sides.
        ["point_a", "point_b", "point_c", "point_l", "point_r"],
        # The right corner of the right eye does not come from that of the left one.
        ["left_eye_right_corner", "right_eye_right_corner"],
        # Two names that mean the same left ear: it is not clear which one changes places.
        ["left_ear", "leftEar", "right_ear"],
    ],
)
def test_what_is_not_clearly_a_pair_is_left_alone(names: list[str]) -> None:
    assert symmetry_from_names(names) == ()


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["left_ear", "leftEar", "right_ear"], [("left_ear", "leftEar", "right_ear")]),
        (["ohr_links", "OhrLinks", "ohr_rechts", "nase"], [("ohr_links", "OhrLinks", "ohr_rechts")]),
        (["paw1LH", "paw2LF", "paw3RF", "paw4RH"], [("paw1LH", "paw4RH"), ("paw2LF", "paw3RF")]),
        (["t1_left", "t2_right"], [("t1_left", "t2_right")]),
        (["nose", "left_ear", "tail"], [("left_ear",)]),
        (["nez", "oreille_droite"], [("oreille_droite",)]),
        (["lhip", "rhip", "lamp", "ramp"], [("lamp", "ramp")]),
        (["nose", "bright", "copyright", "port", "off"], []),
        (["left_ear", "right_ear"], []),
    ],
)
def test_names_of_sides_without_a_clear_partner_are_in_doubt(names, groups) -> None:
    assert list(find_sides(names).doubtful) == groups


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("LF", "RF", "LR", "RR"), (("LF", "RF"), ("LR", "RR"))),
        (("FL", "FR", "RL", "RR"), (("FL", "FR"), ("RL", "RR"))),
        (("UL", "UR", "LL", "LR"), (("UL", "UR"), ("LL", "LR"))),
        (
            ("corner_tl", "corner_tr", "corner_bl", "corner_br"),
            (("corner_tl", "corner_tr"), ("corner_bl", "corner_br")),
        ),
        (("cageXL", "cageXR", "cageBL", "cageBR"), (("cageXL", "cageXR"), ("cageBL", "cageBR"))),
    ],
)
def test_two_letters_for_place_and_side_are_known_all_or_none(names, pairs) -> None:
    assert symmetry_from_names(names) == pairs


def test_accents_may_be_letters_of_their_own() -> None:
    names = tuple(unicodedata.normalize("NFD", name) for name in ("vänster_öra", "höger_öra"))
    assert symmetry_from_names(names) == (names,)


def test_no_word_says_left_and_right() -> None:
    for word, side in SIDE_WORDS.items():
        assert all(SIDE_WORDS[other].left != side.left for other in side.opposites), word


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
        "links",
        "rechts",
        "左",
        "右",
    ]
)
NAMES = st.lists(
    st.lists(WORDS, min_size=1, max_size=4).map("".join) | st.text(min_size=1, max_size=6),
    max_size=12,
    unique=True,
)


@given(NAMES)
def test_every_name_is_in_one_pair_at_most_and_pairs_are_of_given_names(names: list[str]) -> None:
    sides = find_sides(names)
    flat = [name for pair in sides.pairs for name in pair]
    assert not set(flat) & {name for group in sides.doubtful for name in group}
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
