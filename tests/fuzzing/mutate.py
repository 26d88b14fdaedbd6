"""Spoils files: as bytes, and as what they hold, because spoilt bytes alone die in the parser."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .odd import FLOATS, NUMBERS, RAW_JSON, RAW_YAML, TEXTS, odd_values

RAW = "@@RAW"
"""Begins a text that stands for a piece of file which no writer would write; see :func:`spell`."""


def spell(text: str, raw: tuple[str, ...], rng: random.Random) -> str:
    """Put pieces of raw text where their place holders stand."""
    parts = text.split(RAW)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.rstrip("'\"") if whole.endswith(("'", '"')) else whole
        whole += rng.choice(raw) + part.lstrip("'\"")
    return whole


def paths(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a tree of mappings and lists."""
    found = [at]
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        found += paths(value, (*at, key))
    return found


def get(tree: Any, path: tuple[Any, ...]) -> Any:
    """What stands there."""
    for key in path:
        tree = tree[key]
    return tree


def spoil_tree(tree: Any, rng: random.Random, times: int | None = None, gentle: float = 0.6) -> Any:
    """A copy of a tree in which some nodes are replaced, removed, doubled, renamed or moved.

    Args:
        tree: mappings, lists and plain values.
        times: how many nodes; 1 to 3 by default.
        gentle: share of changes that keep the kind of a value (another number, the name of something else),
            which get further than wild ones.
    """
    tree = json.loads(json.dumps(tree))
    for _ in range(times or rng.choice((1, 1, 1, 2, 3))):
        places = [path for path in paths(tree) if path]
        if not places:
            return rng.choice(odd_values())
        path = rng.choice(places)
        holder, key = get(tree, path[:-1]), path[-1]
        if rng.random() < gentle:
            holder[key] = _near(holder[key], tree, rng)
        else:
            _WILD[rng.randrange(len(_WILD))](tree, holder, key, rng)
    return tree


def _near(value: Any, tree: Any, rng: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice(
            (value + 1, value - 1, value * 2, value // 2, -value, float(value), rng.choice(NUMBERS))
        )
    if isinstance(value, float):
        return rng.choice((value * 1.01, value / 2, -value, value // 1, value + 1, rng.choice(FLOATS)))
    if isinstance(value, str):
        others = [v for v in (get(tree, p) for p in paths(tree)) if isinstance(v, str)]
        return rng.choice(
            (rng.choice(others), value + " ", value.upper(), value[:-1], value + "_2", *[value] * 3)
        )
    if isinstance(value, list):
        made = list(value)
        rng.shuffle(made)
        return rng.choice((made, made[:-1], [*value, *value[:1]], value))
    if isinstance(value, dict):
        made_items = list(value.items())
        rng.shuffle(made_items)
        return dict(rng.choice((made_items, made_items[:-1])))
    return rng.choice((0, 1, 0.5, "a", [], {}))


def _replace(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    holder[key] = rng.choice(odd_values())


def _raw(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    holder[key] = RAW


def _delete(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    del holder[key]


def _double(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[f"{key}_2"] = holder[key]


def _rename(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    if isinstance(holder, dict):
        others = [str(p[-1]) for p in paths(tree) if p]
        holder[rng.choice((rng.choice(others), rng.choice(TEXTS), str(key)[:-1]))] = holder.pop(key)
    else:
        holder.reverse()


def _move(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    other = rng.choice([p for p in paths(tree) if p])
    holder[key] = json.loads(json.dumps(get(tree, other)))


def _wrap(tree: Any, holder: Any, key: Any, rng: random.Random) -> None:
    value = holder[key]
    holder[key] = rng.choice(([value], {"type": value}, {str(value)[:40]: value}, str(value), [value] * 50))


_WILD: tuple[Callable[[Any, Any, Any, random.Random], None], ...] = (
    *(_replace, _replace, _replace, _raw),
    *(_delete, _double, _rename, _move, _wrap),
)


def spoil_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, inserted, repeated or cut off; or another encoding."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 1, 2, 8, 64, 1000))
        junk = rng.choice(
            (rng.randbytes(size), b"\0" * size, b"\xff\xfe", b"\xe9", b"\r", b"\t", b'"', b":", b"{", b"-")
        )
        data = rng.choice(
            (
                data[:at],
                data[:at] + data[at + size :],
                data[:at] + junk + data[at:],
                data[:at] + junk + data[at + len(junk) :],
                data[:at] + data[at : at + size] + data[at:],
                _flipped(data, rng),
                _flipped(data, rng),
                _flipped(data, rng),
                _flipped(data, rng),
            )
        )
    if rng.random() < 0.1:
        text = data.decode("utf-8", "replace")
        data = rng.choice(
            (
                lambda: b"",
                lambda: b"\xef\xbb\xbf" + data,
                lambda: data.replace(b"\n", b"\r\n"),
                lambda: data.replace(b"\n", b"\r"),
                lambda: text.encode("utf-16"),
                lambda: text.encode("utf-32"),
                lambda: data.replace(b"\n", b""),
            )
        )()
    return data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    spoilt = bytearray(data)
    spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def spoil_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines removed, repeated, swapped or joined."""
    lines = data.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2))):
        if len(lines) < 2:
            break
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0:
            del lines[a]
        elif kind == 1:
            lines.insert(b, lines[a])
        elif kind == 2:
            lines[a], lines[b] = lines[b], lines[a]
        else:
            lines[a] = lines[a].rstrip(b"\r\n")
    return b"".join(lines)


def spoil_yaml(tree: Any, rng: random.Random, gentle: float = 0.6) -> bytes:
    """YAML of a spoilt tree, now and then with spoilt bytes, too."""
    spoilt = spoil_tree(tree, rng, gentle=gentle)
    text = yaml.safe_dump(
        spoilt,
        sort_keys=False,
        allow_unicode=rng.random() < 0.5,
        default_flow_style=rng.choice((None, None, True, False)),
    )
    return _finish(spell(text, RAW_YAML, rng), rng)


def spoil_json(tree: Any, rng: random.Random, gentle: float = 0.6) -> bytes:
    """JSON of a spoilt tree, now and then with spoilt bytes, too."""
    text = json.dumps(
        spoil_tree(tree, rng, gentle=gentle), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))
    )
    return _finish(spell(text, RAW_JSON, rng), rng)


def _finish(text: str, rng: random.Random) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    chance = rng.random()
    return spoil_bytes(data, rng) if chance < 0.15 else spoil_lines(data, rng) if chance < 0.25 else data


CELLS = (
    "",
    " ",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "1e9",
    "-1",
    "0",
    "1,5",
    "x",
    "0x10",
    "1_0",
    "٣",
    "9" * 400,
    *TEXTS,
)


def spoil_csv(data: bytes, rng: random.Random) -> bytes:
    """A CSV table with some cells, rows or columns changed, and perhaps in another dialect."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        row = rng.choice(rows) if rows else []
        kind = rng.randrange(12)
        if not row:
            rows.append([rng.choice(CELLS)])
        elif kind < 3:
            row[rng.randrange(len(row))] = rng.choice(CELLS)
        elif kind < 6:
            _other_cell(rows, row, rng)
        elif kind == 6:
            row.insert(rng.randrange(len(row) + 1), rng.choice(CELLS))
        elif kind == 7:
            del row[rng.randrange(len(row))]
        elif kind == 8:
            rows.insert(rng.randrange(len(rows) + 1), list(row))
        elif kind == 9:
            rows.remove(row)
        elif kind == 10:
            other = rows[rng.randrange(len(rows))]
            row[:], other[:] = other[:], row[:]
        else:
            column = rng.randrange(len(row))
            for each in rows:
                if column < len(each):
                    each.append(each.pop(column))
    stream = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    delimiter = rng.choice(",,,,,,,,,,;\t")
    csv.writer(
        stream, delimiter=delimiter, quoting=quoting, lineterminator=rng.choice(("\n", "\r\n"))
    ).writerows(rows)
    return _finish(stream.getvalue(), rng)


def _other_cell(rows: list[list[str]], row: list[str], rng: random.Random) -> None:
    """A number nearby, or what another cell of the column says."""
    at = rng.randrange(len(row))
    try:
        row[at] = str(float(row[at]) + rng.choice((-0.5, 0.25, 1, -70, 70, 0)))
    except ValueError:
        others = [each[at] for each in rows if at < len(each)]
        row[at] = rng.choice(others)


def put(path: Path, data: bytes) -> None:
    """Write a file anew; it may have been a link to one that others use."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def spoil_place(path: Path, rng: random.Random) -> str:
    """Do to a file what happens to files: gone, empty, a folder, a link to nowhere or to itself,
    unreadable."""
    kind = rng.choice(("gone", "empty", "folder", "nowhere", "loop", "unreadable", "itself"))
    if kind == "unreadable":
        put(path, path.read_bytes())  # of a link, the file that others use would become unreadable
        path.chmod(0)  # means nothing to root, whose example is a success then
        return kind
    path.unlink(missing_ok=True)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "nowhere":
        path.symlink_to("nowhere/at/all")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "itself":
        path.symlink_to(os.curdir)
    return kind
