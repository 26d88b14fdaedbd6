"""2900 spellings of one table of labels: what is not labelled, separators, line ends, encodings, numbers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from .conftest import Material, copy, rows_of
from .mutate import put
from .oracle import Example, check, fuzz

FAMILY = "spellings"

NOTHING = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "NAN",
        "-nan",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "null",
        "NULL",
        "None",
        "none",
        "-",
        "--",
        ".",
    ),
    *(
        "?",
        "x",
        "-1",
        "-1.0",
        "0",
        "0.0",
        "inf",
        "-inf",
        "1e999",
        "missing",
        "nicht gelabelt",
        "\u2013",
        '""',
        "''",
    ),
)
"""How people and programs write that a keypoint is not labelled; and what only looks so."""

NUMBERS = (
    "{:.6f}",
    "{:.0f}",
    "{:e}",
    "+{}",
    " {} ",
    "{},0",
    "{}px",
    "0x1F",
    "{:,.2f}",
    "1_000",
    "١٢",
    "{}f",
    "'{}",
)
"""How numbers are spelt by spreadsheets, by other languages, and by mistake."""

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32", "shift-jis")
ENDS = ("\n", "\r\n", "\r", "\n\n", "\n\r", "\v")
SEPARATORS = (",", ";", "\t", "|", ", ", " ")


def _spell_cells(rows: list[list[str]], rng: random.Random, first_row: int, first_column: int) -> str:
    """Write some cells of the table otherwise."""
    kind = rng.choice(("nothing", "nothing", "number", "gap", "name"))
    cells = [(r, c) for r in range(first_row, len(rows)) for c in range(first_column, len(rows[r]))]
    for r, c in rng.sample(cells, min(len(cells), rng.choice((1, 2, 6)))):
        if c >= len(rows[r]):  # it is in the gap already
            continue
        if kind == "nothing":
            rows[r][c] = rng.choice(NOTHING)
        elif kind == "number":
            spelling = rng.choice(NUMBERS)
            try:
                rows[r][c] = spelling.format(float(rows[r][c]))
            except ValueError:
                rows[r][c] = spelling.replace("{}", rows[r][c])
        elif kind == "gap":
            del rows[r][rng.randrange(c, len(rows[r])) :]
        else:
            head = rng.randrange(first_row) if first_row else 0
            rows[head] = [
                rng.choice((str.upper, str.title, lambda s: f" {s}", lambda s: f"{s}\u00a0"))(v)
                for v in rows[head]
            ]
    return kind


def _write(rows: list[list[str]], rng: random.Random) -> tuple[bytes, str]:
    separator, end, encoding = ",", "\n", "utf-8"
    kind = rng.choice(("plain", "plain", "separator", "end", "encoding", "blank", "comment"))
    if kind == "separator":
        separator = rng.choice(SEPARATORS)
    elif kind == "end":
        end = rng.choice(ENDS)
    elif kind == "encoding":
        encoding = rng.choice(ENCODINGS)
        rows[rng.randrange(len(rows))][0] += rng.choice(("é", "ü", "鼠", ""))
    elif kind == "blank":
        rows.insert(rng.randrange(len(rows) + 1), [""] * rng.choice((0, 1, len(rows[0]))))
    elif kind == "comment":
        rows.insert(rng.randrange(len(rows) + 1), [rng.choice(("# exported", "sep=,", "// labels"))])
    text = end.join(separator.join(row) for row in rows) + rng.choice((end, "", end * 3, "\x1a"))
    return text.encode(encoding, "replace"), f"{kind} {encoding if kind == 'encoding' else ''}".strip()


def make_spelling(material: Material, rng: random.Random, folder: Path) -> Example:
    """One project whose labels are spelt otherwise, and a training that reads it."""
    return rng.choice((_own, _deeplabcut, _coco))(material, rng, folder)


def _own(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.own, material.own_multi)), folder / "project")
    rows = rows_of((project / "labels.csv").read_bytes())
    about = _spell_cells(rows, rng, 1, 2)
    content, how = _write(rows, rng)
    put(project / "labels.csv", content)
    return Example(
        ["train", project, "--model", "unet", "--out", folder / "out"], f"labels.csv: {about}, {how}"
    )


def _deeplabcut(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.dlc, material.dlc_multi)), folder / "project")
    file = project / "labeled-data" / rng.choice(("mouse", "rat", "vole")) / "CollectedData_Ada.csv"
    file.with_suffix(".h5").unlink(missing_ok=True)
    rows = rows_of(file.read_bytes())
    about = _spell_cells(rows, rng, 4 if "MULTI" in (project / "config.yaml").read_text() else 3, 1)
    content, how = _write(rows, rng)
    put(file, content)
    return Example(
        ["train", project, "--model", "unet", "--out", folder / "out"], f"DeepLabCut: {about}, {how}"
    )


def _coco(material: Material, rng: random.Random, folder: Path) -> Example:
    """Spellings of a COCO file: numbers as text, nested keypoints, null, other cases of keys, counting from 0."""
    project = copy(material.coco, folder / "coco")
    content = json.loads((project / "labels.json").read_bytes())
    labels = [a for a in content["annotations"] if not a["iscrowd"]]
    chosen = rng.sample(labels, rng.choice((1, 2, len(labels))))
    about = rng.choice(
        ("nested", "text", "null", "nothing", "zero", "case", "float", "missing", "encoding", "skeleton")
    )
    for label in chosen:
        points = label["keypoints"]
        if about == "nested":
            label["keypoints"] = [points[i : i + 3] for i in range(0, len(points), 3)]
        elif about == "text":
            label["keypoints"] = [str(v) for v in points]
        elif about == "null":
            points[rng.randrange(len(points))] = None
        elif about == "nothing":
            at = 3 * rng.randrange(len(points) // 3)
            points[at : at + 3] = rng.choice(
                ([0, 0, 0], [-1, -1, 0], [0.0, 0.0, 2], [None, None, 0], [5, 5, -1])
            )
        elif about == "zero":
            points[2::3] = [0] * (len(points) // 3)
        elif about == "float":
            points[2::3] = [float(v) for v in points[2::3]]
        elif about == "missing":
            label.pop(rng.choice(sorted(label)))
        elif about == "case":
            label["Keypoints"] = label.pop("keypoints")
    if about == "skeleton":
        content["categories"][0]["skeleton"] = rng.choice(
            ([[0, 1], [0, 2]], [["nose", "left_ear"]], [[1, 1]], [[1, 9]], [1, 2, 3], None, [[2, 1], [1, 2]])
        )
    encoding = rng.choice(ENCODINGS) if about == "encoding" else "utf-8"
    put(project / "labels.json", json.dumps(content, ensure_ascii=False).encode(encoding, "replace"))
    return Example(
        ["train", project / "labels.json", "--model", "unet", "--out", folder / "out"], f"COCO: {about}"
    )


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_spellings(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2900, 2916), lambda rng, folder: make_spelling(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2900_spellings(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(290 * part, 290 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_spelling(material, rng, folder), tmp_path))
