"""Tell left and right keypoints from their names.

Project files of most tools do not say which keypoints change places in a mirrored image; their names do. This
is the one rule for all of them; the words are in :mod:`pose_core.side_words`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pose_core.side_words import BODY_PARTS, PREFIXES, SIDE_WORDS, SPACELESS

_Words = tuple[str, ...]

# Words of a name: LFPaw -> LF, Paw; hindLeft2 -> hind, Left, 2; EAR_L -> EAR, L.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# Within longer words (leftear, ohrlinks) only what is long enough not to be part of another word.
_LONG = sorted((w for w, side in SIDE_WORDS.items() if side.clear and len(w) > 3), key=len, reverse=True)
_WITHIN = re.compile(
    "|".join(
        (
            *map(re.escape, (*_LONG, *sorted(SPACELESS, key=len, reverse=True))),
            rf"^(?:{'|'.join(PREFIXES)})(?=\w{{3}})",
        )
    )
)
_SPACELESS = re.compile("|".join(map(re.escape, sorted(SPACELESS, key=len, reverse=True))))
# Two letters, one for the side and one for the place: front, fore, hind, back, middle, top, upper ...
_PLACES = "fhbmvtulrpdc"
_CODE_BEFORE = re.compile(r"([lr])([a-z])")
_CODE_BEHIND = re.compile(r"([a-z])([lr])")
_OTHER = {"l": "r", "r": "l"}
_VOWEL = re.compile("[aeiouy]")
# Words of English that are more than "right" with a part behind it.
_ORDINARY = frozenset({"rear", "rears"})
_MOST_ALTERNATIVES = 64


@dataclass(frozen=True)
class Sides:
    """What names say of left and right.

    Attributes:
        pairs: (left, right), in the order of the first of each among the names.
        doubtful: groups of names that say a side, but not which name is the other one: two names for one
            side, sides that differ in a number as well, a side alone.
    """

    pairs: tuple[tuple[str, str], ...]
    doubtful: tuple[tuple[str, ...], ...] = ()


def symmetry_from_names(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pair names that differ in nothing but left and right.

    Args:
        names: of keypoints.

    Returns:
        the pairs of :func:`find_sides`.
    """
    return find_sides(names).pairs


def find_sides(names: Sequence[str]) -> Sides:
    """Find pairs, and names that look like left and right without being one.

    A name is split into words at everything that is no letter, before digits and at capitals (``earL`` is
    ``ear``, ``L``); case does not matter. A side is: a word of :data:`pose_core.side_words.SIDE_WORDS`, the
    long ones also within a word (``leftear``, ``frontleftpaw``); ``l`` or ``r`` in a word of two letters
    whose other one is a place (the paws ``LF``, ``RF``, ``paw_tl``). Two names are a pair if they differ in
    sides only, each the opposite of the other, and as many as possible are exchanged. Names without any of
    these are a pair if they differ in ``l`` and ``r`` at the beginning of a word, before a consonant or the
    name of a part (``lhip``, ``rear_rpaw``), or at the end of one, behind the name of a part (``earl``).
    Numbers are no sides: ``ear_1``, ``ear_2`` are no pair, nor are ``paw1L``, ``paw2R``.

    Args:
        names: of keypoints.
    """
    table = _Names.of(names)
    order = {name: i for i, name in enumerate(names)}
    found, contested = _match(table, _by_side)
    rest = table.without({*itertools.chain(*found), *itertools.chain(*contested)}, only_plain=True)
    more, unclear = _match_letters(rest)
    pairs = found | more
    paired = {name for pair in pairs for name in pair}
    doubtful = [group for group in (*contested, *unclear) if not paired.issuperset(group)]
    told = paired.union(*doubtful)
    left = table.without(told)
    doubtful += _numbered(left)
    told |= set().union(*doubtful)
    doubtful += [(name,) for name, words in table.words.items() if name not in told and _says_side(words)]
    return Sides(
        tuple(sorted(pairs, key=lambda pair: min(order[pair[0]], order[pair[1]]))),
        tuple(sorted((tuple(sorted(g, key=order.__getitem__)) for g in doubtful), key=lambda g: order[g[0]])),
    )


@dataclass(frozen=True)
class _Names:
    """Names by their words, in lower case.

    Attributes:
        words: of each name.
        same: names of the same words.
        listed: single letters that stand in the place of a word, where they count (a, b, c ...).
    """

    words: dict[str, _Words]
    same: dict[_Words, list[str]] = field(default_factory=dict)
    listed: frozenset[_Words] = frozenset()

    @classmethod
    def of(cls, names: Sequence[str]) -> _Names:
        return cls._make({name: _split(name) for name in names})

    @classmethod
    def _make(cls, words: dict[str, _Words]) -> _Names:
        same: dict[_Words, list[str]] = {}
        for name, found in words.items():
            same.setdefault(found, []).append(name)
        return cls(words, same, _find_lists(words.values()))

    def without(self, names: set[str], *, only_plain: bool = False) -> _Names:
        """The other names; of these, those that say no side."""
        kept = {name: words for name, words in self.words.items() if name not in names}
        if only_plain:
            kept = {name: w for name, w in kept.items() if next(_by_side(w, self), None) is None}
        return self._make(kept)


def _split(name: str) -> _Words:
    # Accents may stand as letters of their own (NFD, as macOS writes), which are no letters to a pattern.
    composed = unicodedata.normalize("NFC", name)
    spaced = _SPACELESS.sub(lambda match: f" {match.group()} ", composed)
    return tuple(word.casefold() for word in _words_of(spaced))


def _words_of(text: str) -> Iterator[str]:
    """Words of a text; vowel signs and tone marks belong to theirs."""
    for part in re.split(r"[\s_\-.,/()]+", text):
        # Scripts whose vowels are marks would be cut at each of them.
        if any(unicodedata.category(c) in ("Mn", "Mc") for c in part):
            yield part
        else:
            yield from _WORDS.findall(part)


def _find_lists(words: Iterable[_Words]) -> frozenset[_Words]:
    """Places at which single letters count: ``point_a``, ``point_b`` ..., where ``l``, ``r`` are no sides."""
    letters: dict[_Words, set[str]] = {}
    for of_name in words:
        for i, word in enumerate(of_name):
            if len(word) == 1:
                letters.setdefault(_without(of_name, i), set()).add(word)
    return frozenset(place for place, found in letters.items() if {"a", "b", "c"} <= found)


def _without(words: _Words, i: int) -> _Words:
    return (*words[:i], "", *words[i + 1 :])


Swapped = tuple[int, _Words]
_Mirror = Callable[[_Words, _Names], Iterator[Swapped]]


def _match(table: _Names, mirror: _Mirror) -> tuple[set[tuple[str, str]], list[tuple[str, ...]]]:
    """Pairs, and groups of names of which it is not clear who belongs to whom."""
    best: dict[_Words, set[_Words]] = {}
    for words in table.same:
        there = [(swaps, o) for swaps, o in mirror(words, table) if o in table.same and o != words]
        most = max((swaps for swaps, _ in there), default=0)
        best[words] = {other for swaps, other in there if swaps == most}
    mutual = {words: {o for o in others if words in best[o]} for words, others in best.items()}
    pairs, contested = set(), []
    for words, others in mutual.items():
        group = [name for w in (words, *sorted(others)) for name in table.same[w]]
        if len(group) > 2 and others:
            contested.append(tuple(group))
        # From the left one only, and only where the right one has no other.
        elif others and len(mutual[other := next(iter(others))]) == 1 and _is_left(words, other):
            pairs.add((group[0], group[1]))
    return pairs, _merge(contested)


def _merge(groups: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Join groups that have a name in common."""
    merged: list[set[str]] = []
    for group in groups:
        new = set(group)
        for old in [m for m in merged if m & new]:
            merged.remove(old)
            new |= old
        merged.append(new)
    return [tuple(group) for group in merged]


def _by_side(words: _Words, table: _Names) -> Iterator[Swapped]:
    """The words with sides exchanged, in all ways: how many are, and the result."""
    choices: list[list[tuple[int, str]]] = []
    for i, word in enumerate(words):
        counts = len(word) == 1 and _without(words, i) in table.listed
        opposites = [] if counts else sorted(_opposites(word, alone=len(words) == 1))
        # A side must change; what also means something else (port, near) may stay.
        stays = not opposites or not _is_clear(word)
        choices.append([*((1, other) for other in opposites), *([(0, word)] if stays else [])])
    for chosen in itertools.islice(itertools.product(*choices), _MOST_ALTERNATIVES):
        if swaps := sum(swap for swap, _ in chosen):
            yield swaps, tuple(word for _, word in chosen)


def _is_clear(word: str) -> bool:
    side = SIDE_WORDS.get(word)
    return word in _OTHER or (side.clear if side is not None else _WITHIN.search(word) is not None)


def _opposites(word: str, *, alone: bool) -> set[str]:
    """What a word becomes in a mirrored image."""
    side = SIDE_WORDS.get(word)
    others = set(side.opposites) if side is not None else set()
    if len(word) == 2:
        for pattern, at in ((_CODE_BEFORE, 1), (_CODE_BEHIND, 2)):
            match = pattern.fullmatch(word)
            if match is not None and (not alone or match.group(3 - at) in _PLACES):
                letter = _OTHER[match.group(at)]
                others.add(letter + word[1] if at == 1 else word[0] + letter)
    if not others and (inner := list(_WITHIN.finditer(word))):
        between = [word[a.end() : b.start()] for a, b in itertools.pairwise(inner)]
        ends = word[: inner[0].start()], word[inner[-1].end() :]
        ways = [sorted(SIDE_WORDS[match.group()].opposites) for match in inner]
        for chosen in itertools.islice(itertools.product(*ways), _MOST_ALTERNATIVES):
            middle = "".join(map("".join, zip(chosen, [*between, ""], strict=True)))
            others.add(ends[0] + middle + ends[1])
    return others


def _match_letters(table: _Names) -> tuple[set[tuple[str, str]], list[tuple[str, ...]]]:
    """Pairs by a letter before or behind a part; beside them, whatever looks like these is in doubt."""
    pairs: set[tuple[str, str]] = set()
    unclear: list[tuple[str, ...]] = []
    for mirror, is_certain in ((_by_first_letter, _is_certain_first), (_by_last_letter, _is_certain_last)):
        found, contested = _match(table, mirror)
        certain = {pair for pair in found if is_certain(*_differing(table, pair), pair[0])}
        pairs |= certain
        # All or none: where some are sides, the others of the same form may be.
        unclear += [*sorted(found - certain), *contested] if certain else []
        table = table.without({name for pair in certain for name in pair})
    return pairs, unclear


def _differing(table: _Names, pair: tuple[str, str]) -> tuple[str, str]:
    """The words in which two names differ."""
    one, other = (table.words[name] for name in pair)
    return next((a, b) for a, b in zip(one, other, strict=True) if a != b)


def _by_first_letter(words: _Words, _: _Names) -> Iterator[Swapped]:
    for i, word in enumerate(words):
        # Three letters behind it, or consonants alone: LFP and RFP.
        if word[0] in _OTHER and len(word) > (3 if _VOWEL.search(word) else 2):
            yield 1, (*words[:i], _OTHER[word[0]] + word[1:], *words[i + 1 :])


def _by_last_letter(words: _Words, _: _Names) -> Iterator[Swapped]:
    for i, word in enumerate(words):
        if word[-1] in _OTHER and len(word) > 3:
            yield 1, (*words[:i], word[:-1] + _OTHER[word[-1]], *words[i + 1 :])


def _is_certain_first(left: str, right: str, name: str) -> bool:
    # No English word begins with l or r and a consonant, so such a letter is a word of its own.
    if not _VOWEL.match(left[1]):
        return True
    # "rear" is a word of its own, "Rear" beside "Lear" is not.
    return left[1:].startswith(BODY_PARTS) and not (right in _ORDINARY and left in name)


def _is_certain_last(left: str, right: str, name: str) -> bool:
    return left[:-1].endswith(BODY_PARTS)


def _numbered(table: _Names) -> list[tuple[str, ...]]:
    """Groups of names that would be pairs but for a number."""
    plain = {name: tuple(w for w in words if not w.isdigit()) for name, words in table.words.items()}
    named: dict[_Words, list[str]] = {}
    for name, words in plain.items():
        if words and words != table.words[name]:
            named.setdefault(words, []).append(name)
    groups = []
    for words, own in named.items():
        others = {other for _, other in _by_side(words, table) if other in named}
        groups += [tuple(own + named[other]) for other in others if other != words]
    return _merge(groups)


def _says_side(words: _Words) -> bool:
    """Whether a word means a side whatever stands beside it."""
    return any(word in SIDE_WORDS and SIDE_WORDS[word].clear for word in words)


def _is_left(words: _Words, mirrored: _Words) -> bool:
    """Whether the first side of a name is left; its mirror image's then is right."""
    word, other = next((a, b) for a, b in zip(words, mirrored, strict=True) if a != b)
    if word in SIDE_WORDS and other in SIDE_WORDS[word].opposites:
        return SIDE_WORDS[word].left
    if inner := _WITHIN.search(word):
        return SIDE_WORDS[inner.group()].left
    # "l..." sorts before "r..." where the two first differ.
    return word < other
