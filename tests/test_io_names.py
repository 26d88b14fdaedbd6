"""Names of files: found as people mean them, written as text that survives, short enough for the disk."""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pose_core.errors import DataError, PoseError, readable
from pose_core.escapes import HANDLER, escape_line, escape_name, escape_text, unescape_name
from pose_core.io.name_lengths import check_name, check_name_allowed, count_bytes, fit_stem, name_temporary
from pose_core.io.names import (
    FileFinder,
    SameFileError,
    find_escaped,
    find_named,
    fold_name,
    match_names,
    split_name,
)

NAMES = st.binary(min_size=1, max_size=80).filter(lambda b: b"/" not in b and b"\0" not in b).map(os.fsdecode)
"""What Linux takes for a name: any bytes but these two."""


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


# Bytes that are not UTF-8.


@given(NAMES)
def test_an_escaped_name_is_text_and_gives_the_name_back(name: str) -> None:
    text = escape_name(name)
    assert json.loads(json.dumps(text).encode()) == text
    assert text.encode("utf-8").decode() == text
    assert unescape_name(text) == name


@given(NAMES, NAMES)
def test_two_names_never_look_alike(first: str, second: str) -> None:
    assume(first != second)
    assert escape_name(first) != escape_name(second)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\", exclude_categories=["C", "Z"])))
def test_names_in_utf8_are_written_as_they_are(name: str) -> None:
    assert escape_name(name) == escape_line(name) == readable(name) == name


def test_how_names_are_written() -> None:
    assert escape_name(os.fsdecode(b"souris_\xe91.avi")) == r"souris_\xe91.avi"
    assert escape_name("a\\xe9.avi") == r"a\x5cxe9.avi", "is told apart from a byte"
    assert escape_name("C:\\data\\x.avi") == "C:\\data\\x.avi"
    assert escape_line("a\nb\x1b.avi") == r"a\nb\x1b.avi"
    assert escape_text("\ud800") == r"\ud800"
    assert readable(os.fsdecode(b"a  b\xff\n\n c.avi")) == r"a  b\xff c.avi"
    assert os.fsdecode(b"\xe9\xff").encode("ascii", HANDLER) == rb"\xe9\xff"


def test_a_stored_path_is_found_again(tmp_path: Path) -> None:
    odd, literal = tmp_path / os.fsdecode(b"p\xe9"), tmp_path / "q\\xe9"
    odd.mkdir()
    literal.mkdir()
    assert find_escaped(escape_name(odd)) == odd
    assert find_escaped(str(literal)) == literal, "a path that exists is that path"
    assert find_escaped("gone\\xe9") == Path("gone\\xe9")


# Finding files.

NFC, NFD = "caf\u00e9.png", unicodedata.normalize("NFD", "caf\u00e9.png")


@pytest.mark.parametrize(
    ("disk", "named", "note"),
    [
        ("img00.png", "img00.PNG", "letter case"),
        ("Clip/IMG.png", "clip/img.png", "letter case"),
        ("STRASSE.png", "straße.png", "letter case"),
        (NFD, NFC, "form of accents"),
        (NFC, NFD, "form of accents"),
        ("\u30c6\u3099.png", "\u30c7.png", "form of accents"),
        (NFD.upper(), NFC, "letter case"),
        ("clip/0.png", "clip\\0.png", ""),
        ("a:b.png", "a:b.png", ""),
        ("x%d[1]*?.png", "x%d[1]*?.png", ""),
        ("-rf.png", "-rf.png", ""),
        ("two\nlines.png", "two\nlines.png", ""),
        ("a\\b.png", "a\\b.png", ""),
        (os.fsdecode(b"\xe91.png"), r"\xe91.png", ""),
    ],
)
def test_a_name_means_the_file_that_people_read_so(disk: str, named: str, note: str, tmp_path: Path) -> None:
    touch(tmp_path, disk, "other.png")
    finder = FileFinder()
    found = finder.find(named, [tmp_path])
    assert found is not None
    assert found.path == tmp_path / disk
    assert finder.notes() == (
        [f"1 image is called otherwise on this disk ({note}), such as {Path(disk).name}"] if note else []
    )


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_a_name_that_exists_is_that_file(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(b"")
        finder = FileFinder(tails=True)
        found = finder.find(name, [Path(folder)])
        assert found is not None
        assert found.path == path
        assert finder.notes() == []
        by_text = FileFinder().find(escape_name(name), [Path(folder)])
        assert by_text is not None
        assert by_text.path == path


def test_several_candidates_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "img.png", "IMG.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell letter cases apart")
    with pytest.raises(DataError, match=r"'Img.png' may be .*IMG\.png or .*img\.png; name it as it is on"):
        FileFinder().find("Img.png", [tmp_path])
    assert FileFinder().find("IMG.png", [tmp_path]) is not None
    touch(tmp_path, NFD, NFC.replace("c", "C"))
    found = FileFinder().find(NFC, [tmp_path])
    assert found is not None
    assert found.path.name == NFD, "the one in the same letter case is meant"


@pytest.mark.parametrize("names", [("a.png", "A.png"), ("A.png", "a.png"), ("A.PNG", "a.pNg")])
def test_two_names_do_not_become_one_file(names: tuple[str, str], tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    finder = FileFinder()
    assert finder.find(names[0], [tmp_path]) is not None
    assert finder.find(names[0], [tmp_path]) is not None, "the same name may come again"
    with pytest.raises(SameFileError, match="are both") as caught:
        finder.find(names[1], [tmp_path])
    assert caught.value.names == names


@pytest.mark.parametrize(
    "name",
    [
        "D:\\rig\\images\\2.png",
        "\\\\server\\share\\images\\2.png",
        "/home/ana/rig/images/2.png",
        "D:/Rig/Images/2.PNG",
        "D:2.png",
    ],
)
def test_absolute_names_of_other_computers_are_found_by_their_ends(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "images/2.png", "images/3.png")
    for finder in (FileFinder(), FileFinder(inside=True)):
        found = finder.find(name, [tmp_path, tmp_path / "images"])
        assert found is not None
        assert found.path == tmp_path / "images" / "2.png"
        assert finder.notes() == [
            f"1 image was found by the end of the name, such as {found.path} for {name}"
        ]


def test_the_longest_end_decides_and_ends_of_relative_names_only_where_asked(tmp_path: Path) -> None:
    touch(tmp_path, "a/0.png", "0.png", "b/1.png", "c/1.png")
    found = FileFinder().find("/x/a/0.png", [tmp_path])
    assert found is not None
    assert (found.path, found.tail) == (tmp_path / "a" / "0.png", "a/0.png")
    assert FileFinder().find("x/0.png", [tmp_path]) is None
    assert FileFinder(tails=True).find("..\\x\\0.png", [tmp_path]) is not None
    with pytest.raises(DataError, match="may be"):
        FileFinder(tails=True).find("x/1.png", [tmp_path / "b", tmp_path / "c"])
    assert FileFinder(inside=True).find(str(tmp_path / "a" / "0.png"), [tmp_path / "b"]) is None
    assert FileFinder().find("x" * 300 + ".png", [tmp_path]) is None
    assert FileFinder().find("a\0b", [tmp_path]) is None


def test_names_of_a_format_in_another_letter_case(tmp_path: Path) -> None:
    touch(tmp_path, "Labels.csv")
    notes: list[str] = []
    assert find_named(tmp_path / "labels.csv", notes) == tmp_path / "Labels.csv"
    assert notes == [f"{tmp_path / 'Labels.csv'}: is taken for labels.csv (letter case)"]
    assert find_named(tmp_path / "none.csv", notes) == tmp_path / "none.csv"
    touch(tmp_path, "LABELS.csv")
    with pytest.raises(DataError, match=r"may be LABELS.csv or Labels.csv"):
        find_named(tmp_path / "labels.csv", notes)


def test_parts_and_keys_of_names() -> None:
    assert split_name("D:\\a\\b/c.png") == ["a", "b", "c.png"]
    assert split_name("/a/./b") == ["a", "b"]
    assert split_name("a:b/c") == ["b", "c"]
    assert fold_name(NFC) == fold_name(NFD.upper())
    assert match_names("B", ["a", "b"]) == ["b"]
    assert match_names("b", ["B", "b"]) == ["b"]
    assert match_names("c", ["B", "b"]) == []


# Lengths.


@given(
    st.one_of(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"])), NAMES), st.text()
)
def test_shortened_stems_fit_and_differ(stem: str, other: str) -> None:
    other = other.replace("/", "").replace("\0", "").encode("utf-8", "ignore").decode()
    ends = (".parquet.info", "..partial")
    for long in (stem * 9, "鼠" + stem * 7):
        fitted = fit_stem(long, ends, 100)
        assert all(count_bytes(end + fitted) <= 100 for end in ends)
        assert fitted == fit_stem(long, ends, 100), "each time the same"
        os.fsencode(fitted)
        if long + other != long:
            assert fit_stem(long + other, ends, 100) != fitted
        if count_bytes(long) <= 87:
            assert fitted == long


@pytest.mark.parametrize("letter", ["m", "鼠", "é", os.fsdecode(b"\xff")])
def test_temporary_names_are_never_longer_than_a_name_may_be(letter: str, tmp_path: Path) -> None:
    longest = letter * (255 // count_bytes(letter))
    for name in (longest, letter):
        temporary = name_temporary(tmp_path / name, ".4711.part")
        temporary.write_bytes(b"")
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".4711.part")


def test_a_name_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    check_name(tmp_path / ("x" * 255))
    for name, length in (("x" * 256, 256), ("鼠" * 86, 258), ("é" * 128, 256)):
        with pytest.raises(PoseError, match=f"its name has {length} bytes, and names end at 255"):
            check_name(tmp_path / "not" / "there" / name)


def test_names_that_a_file_system_refuses_are_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_name_allowed(tmp_path / "a:b?.parquet")
    assert list(tmp_path.iterdir()) == []

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(22, "Invalid argument", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    check_name_allowed(tmp_path / "plain-1.parquet")
    for name in ("a:b.parquet", "what?.parquet", os.fsdecode(b"\xe9.parquet")):
        with pytest.raises(
            PoseError, match=r"does not allow this name \(invalid argument\); rename the input"
        ):
            check_name_allowed(tmp_path / name)
