"""Tell left and right keypoints from their names.

Project files of most tools do not say which keypoints change places in a mirrored image; their names do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_Words = tuple[str, ...]

_SWAPPED = {"left": "right", "right": "left", "l": "r", "r": "l"}
# Words of a name: LFPaw -> LF, Paw; hindLeft2 -> hind, Left, 2; EAR_L -> EAR, L.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_SIDE_WITHIN = re.compile(r"left|right")
# Two letters, one for the side and one for front, fore, hind, back, middle: LF and RF, or FL and FR.
_SIDE_AND_PLACE = re.compile(r"^[lr](?=[fhbm]$)|(?<=^[fhbm])[lr]$")
_LETTER_AT_THE_FRONT = re.compile(r"^[lr](?=\w{3})")


def symmetry_from_names(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pair names that differ in nothing but left and right.

    A name is split into words at everything that is no letter, before digits and at capitals (``earL`` is
    ``ear``, ``L``); case does not matter. A side is: a word ``l`` or ``r``; ``left`` or ``right``, also
    within a word (``leftear``, ``frontleftpaw``); ``l`` or ``r`` in a word of two letters whose other one is
    ``f``, ``h``, ``b`` or ``m`` (the paws ``LF``, ``RF``, ``LH``, ``RH``). Two names are a pair if exchanging
    all sides of one gives the other. Names without any of these are a pair if one begins with ``l``, the
    other with ``r``, and the same three letters or more follow (``lhip``, ``rhip``). Names that fit more than
    one other are left alone.

    Args:
        names: of keypoints.

    Returns:
        pairs (left, right), in the order of the first of each in ``names``.
    """
    words = {name: tuple(word.lower() for word in _WORDS.findall(name)) for name in names}
    pairs = _pairs(words, _mirrored)
    paired = {name for pair in pairs for name in pair}
    rest = {name: found for name, found in words.items() if name not in paired and _mirrored(found) == found}
    pairs |= _pairs(rest, _mirrored_by_first_letter)
    order = {name: i for i, name in enumerate(names)}
    return tuple(sorted(pairs, key=lambda pair: min(order[pair[0]], order[pair[1]])))


def _pairs(words: dict[str, _Words], mirror: Callable[[_Words], _Words]) -> set[tuple[str, str]]:
    same: dict[_Words, list[str]] = {}
    for name, found in words.items():
        same.setdefault(found, []).append(name)
    pairs = set()
    for found, alike in same.items():
        mirrored = mirror(found)
        others = same.get(mirrored, [])
        if mirrored != found and len(alike) == len(others) == 1 and _is_left(found, mirrored):
            pairs.add((alike[0], others[0]))
    return pairs


def _is_left(words: _Words, mirrored: _Words) -> bool:
    """Whether the first side of a name is left; its mirror image's then is right."""
    # "l..." sorts before "r..." where the two first differ.
    return words < mirrored


def _mirrored(words: _Words) -> _Words:
    return tuple(_SWAPPED.get(word) or _swap(_SIDE_AND_PLACE, _swap(_SIDE_WITHIN, word)) for word in words)


def _mirrored_by_first_letter(words: _Words) -> _Words:
    return (_swap(_LETTER_AT_THE_FRONT, words[0]), *words[1:]) if words else words


def _swap(side: re.Pattern[str], word: str) -> str:
    return side.sub(lambda match: _SWAPPED[match.group()], word)
