"""How a text file is written, told from its first lines: separator, quotes, header, comments."""

import csv
from collections import Counter
from typing import Any

HEAD = 1 << 16
"""Bytes at the beginning of a file that are looked at."""
_LINES = 100
SEPARATORS = "\t|;,"
_SIGNS = ("#", "%")


def guess_dialect(path: str, head: bytes) -> tuple[dict[str, Any], list[str]]:
    """Keys of a recipe's table that say how a file is written, from its first bytes, and what was guessed."""
    table: dict[str, Any] = {"path": path}
    if head[:4] == b"PAR1" or head.lstrip()[:1] in (b"{", b"["):
        return table, []
    guessed = []
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not a character cut at the end
            table["encoding"] = "latin-1"
            guessed.append("not UTF-8, so taken for latin-1")
        text = head.decode("latin-1")
    lines = [line for line in text.splitlines()[: _LINES + 1] if line.strip()]
    if len(text) >= HEAD - 4:
        lines = lines[:-1] or lines
    if comment := comment_sign(lines, header=False):
        table["comment"] = comment
        lines = [line for line in lines if not line.startswith(comment)]
    separator, quoted = _separator(lines)
    if separator != ",":
        table["separator"] = separator
    if not quoted and any('"' in line for line in lines):
        table["quote"] = ""
    rows = list(csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE))
    if comment or not _has_header(rows):
        table["columns"] = [f"c{place + 1}" for place in range(len(rows[0]))]
        guessed.append("no header: columns are named c1, c2, ... by their place")
    return table, guessed


def _separator(lines: list[str]) -> tuple[str, bool]:
    """What separates the fields, and whether quotes quote: the mark that cuts most lines into equally many fields."""
    best, quoted, most = ",", True, (0.0, 0)
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        for mark in SEPARATORS:
            fields = Counter(len(row) for row in csv.reader(lines, delimiter=mark, quoting=quoting))
            width, count = max(fields.items(), key=lambda pair: pair[1], default=(1, 0))
            score = (count / max(len(lines), 1), width) if width > 1 else (0.0, 0)
            if score[0] > most[0] + 1e-9 or (score[0] == most[0] and score[1] > most[1]):
                best, quoted, most = mark, quoting == csv.QUOTE_MINIMAL, score
    return best, quoted


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first line names the columns: different words, none of them a number or empty, unlike those below."""
    first, rest = rows[0], rows[1:]
    if len(set(first)) < len(first) or any(not name.strip() or _is_number(name) for name in first):
        return False
    numeric = [all(_is_number(r[i]) for r in rest if len(r) > i and r[i]) for i in range(len(first))] if rest else []
    if any(numeric) or not rest:
        return True
    # All text: a name hardly comes again as a value.
    return not any(name in {r[i] for r in rest if len(r) > i} for i, name in enumerate(first))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def comment_sign(lines: list[str], header: bool) -> str:
    """What comment lines begin with, where the first line looks like one: `#` or `%` as edge lists have it, and not all
    lines do. A header may begin so (`#id,name`), so of files with one, only `# ` is taken.
    """
    sign = lines[0][:1] if lines else ""
    if sign not in _SIGNS or (header and lines[0][1:2] != " ") or all(line.startswith(sign) for line in lines):
        return ""
    return sign
