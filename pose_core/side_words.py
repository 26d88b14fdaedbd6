"""Words for left and right with which laboratories name body parts.

Words stand in lower case and, where a language has them, with their accents and without. A word may have
several opposites (French ``droit`` and ``droite``, German ``re`` beside English ``re``); two names are a pair
only if both exist, see :mod:`pose_core.symmetry`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SideWord:
    """A word that says left or right.

    Attributes:
        left: which of the two; of sides that are relative (ipsilateral) the one that is called first.
        opposites: the words for the other side.
        clear: means a side and nothing else, in whatever name it stands.
    """

    left: bool
    opposites: frozenset[str]
    clear: bool


# Left words, right words. Each of one side may stand opposite each of the other.
_CLEAR = (
    ("left", "right"),
    ("lft", "rgt rght"),
    ("linke", "rechte"),
    ("linker", "rechter"),
    ("linkes", "rechtes"),
    ("linken", "rechten"),
    ("links", "rechts"),
    ("gauche gauches", "droite droites droit droits"),
    ("izquierda izquierdo izquierdas izquierdos", "derecha derecho derechas derechos"),
    ("esquerda esquerdo esquerdas esquerdos", "direita direito direitas direitos"),
    ("sinistra sinistro sinistre sinistri", "destra destro destre destri dextra dextro"),
    ("sinister sinistrum sinistral", "dexter dextrum dextral"),
    ("esquerra esquerre", "dreta dret"),
    ("stânga stanga stângul stâng", "dreapta dreptul drept"),
    ("vänster vänstra vanster vanstra", "höger högra hoger hogra"),
    ("venstre", "højre hojre høyre hoyre"),
    ("vinstri", "hægri haegri"),
    ("vasen", "oikea"),
    ("vasak", "parem"),
    ("lewy lewa lewe lewo lewej", "prawy prawa prawe prawo prawej"),
    ("levý levá levé levy leva leve", "pravý pravá pravé pravy prava prave"),
    ("ľavý ľavá ľavé lavy lava lave", "pravý pravá pravé pravy prava prave"),
    ("levo lijevo lijeva lijevi", "pravo desno desna desni"),
    ("levi leva levo", "desni desna desno"),
    ("левый левая левое левые лев левого левой", "правый правая правое правые прав правого правой"),
    ("levyi levyj levaya levaja levoe levye", "pravyi pravyj pravaya pravaja pravoe pravye"),
    ("лівий ліва ліве ліві", "правий права праве праві"),
    ("ляв лява ляво леви", "десен дясна дясно десни"),
    ("αριστερά αριστερό αριστερός αριστερή aristero aristera", "δεξιά δεξιό δεξιός δεξιή dexio dexia"),
    ("kairys kairė kairė kaire", "dešinys dešinė desine"),
    ("kreisais kreisā kreisa", "labais labā laba"),
    ("kiri", "kanan"),
    ("trái", "phải"),
    ("ซ้าย", "ขวา"),
    ("बायां बायाँ बाएं", "दायां दायाँ दाएं"),
    ("שמאל שמאלית שמאלי", "ימין ימנית ימני"),
    ("يسار أيسر يسرى", "يمين أيمن يمنى"),
    ("چپ", "راست"),
    ("左", "右"),
    ("ひだり", "みぎ"),
    ("ヒダリ", "ミギ"),
    ("왼쪽 왼", "오른쪽 오른"),
    ("좌측", "우측"),
    ("좌", "우"),
    ("hidari", "migi"),
    ("oenjjok oen wenjjok", "oreunjjok oreun"),
    ("zuobian", "youbian"),
    ("ipsilateral", "contralateral"),
    ("nearside", "offside"),
    ("larboard", "starboard"),
)

# Words that are short, or mean other things, too.
_SHORT = (
    ("l", "r"),
    ("lt", "rt"),
    ("le", "re"),
    ("lhs", "rhs"),
    ("li lks lk", "re rts"),
    ("g gau gch", "d dr drt dte"),
    ("avg", "avd"),
    ("arg", "ard"),
    ("izq izqda izqdo izda izdo", "der dcha dcho drcha"),
    ("esq esqda esqdo", "dir dta dto dre"),
    ("sx sn", "dx"),
    ("sin sinist", "dex dx dext des"),
    ("os", "od"),
    ("ven", "høj hoj høy hoy"),
    ("vän", "hög"),
    ("bal", "jobb"),
    ("sol", "sağ sag"),
    ("ezker", "eskuin"),
    ("zuo", "you"),
    ("near", "off"),
    ("ipsi", "contra"),
    ("port", "starboard stbd"),
)


def _read(*tables: tuple[Iterable[tuple[str, str]], bool]) -> dict[str, SideWord]:
    words: dict[str, SideWord] = {}
    for table, clear in tables:
        for line in table:
            # As names are compared: accents may stand as letters of their own, or be part of theirs.
            left, right = (unicodedata.normalize("NFC", side).casefold().split() for side in line)
            for own, others, is_left in ((left, right, True), (right, left, False)):
                for word in own:
                    known = words.get(word, SideWord(is_left, frozenset(), clear))
                    words[word] = replace(known, opposites=known.opposites | frozenset(others))
    return words


SIDE_WORDS: dict[str, SideWord] = _read((_CLEAR, True), (_SHORT, False))
"""By the word, in lower case and composed (NFC)."""

PREFIXES: tuple[str, ...] = ("near", "off", "ipsi", "contra")
"""Words that may stand before a part without anything between: Nearknee, Offknee."""

SPACELESS: tuple[str, ...] = (
    "左",
    "右",
    "왼쪽",
    "오른쪽",
    "왼",
    "오른",
    "좌측",
    "우측",
    "좌",
    "우",
    "ひだり",
    "みぎ",
    "ヒダリ",
    "ミギ",
    "ซ้าย",
    "ขวา",
)
"""Words of scripts that write no blanks: they are found within a word, however short they are."""

BODY_PARTS: tuple[str, ...] = (
    *(
        "ear",
        "eye",
        "eyelid",
        "eyebrow",
        "iris",
        "elbow",
        "arm",
        "armpit",
        "ankle",
        "antenna",
        "antennae",
        "elytra",
    ),
    *(
        "abdomen",
        "axilla",
        "elytron",
        "incisor",
        "acromion",
        "ilium",
        "ischium",
        "arista",
        "olecranon",
        "ulna",
    ),
    *(
        "paw",
        "foot",
        "hand",
        "hip",
        "knee",
        "wrist",
        "shoulder",
        "leg",
        "wing",
        "fin",
        "horn",
        "hoof",
        "cheek",
    ),
    *(
        "brow",
        "nostril",
        "finger",
        "toe",
        "thumb",
        "heel",
        "hock",
        "stifle",
        "fetlock",
        "haltere",
        "palp",
        "claw",
    ),
    *(
        "limb",
        "flank",
        "thigh",
        "calf",
        "whisker",
        "lip",
        "pupil",
        "hindpaw",
        "forepaw",
        "lobe",
        "temple",
        "jaw",
    ),
)
"""English names of parts that animals have on either side: what a letter before or behind them says."""
