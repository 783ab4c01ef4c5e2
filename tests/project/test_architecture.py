"""The pictures of docs/architecture.md hold: every name in them is there, and calls what it is said to call."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "glmix_automl"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
LINES = [
    re.split(r"\s{2,}", line)
    for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if ".py " in line
]


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """(function, type, `Class` or `Class.member`, its node) of a module; members: methods and what is set on `self`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node
        if isinstance(node, ast.ClassDef):
            for member in ast.walk(node):
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member
                elif isinstance(member, ast.Attribute) and isinstance(member.ctx, ast.Store):
                    yield f"{node.name}.{member.attr}", member
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    yield f"{node.name}.{member.target.id}", member


@cache
def known(path: Path) -> dict[str, ast.AST]:
    return dict(definitions(ast.parse(path.read_text())))


@cache
def everything() -> frozenset[str]:
    return frozenset(name for path in PACKAGE.rglob("*.py") for name in known(path))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[1])
def test_each_line_of_a_picture_is_in_the_code(line: list[str]) -> None:
    path, caller, callees, *_ = line
    body = known(PACKAGE / path).get(caller)
    assert body is not None, f"{path} has no {caller}"
    named = {n.attr for n in ast.walk(body) if isinstance(n, ast.Attribute)}
    named |= {n.id for n in ast.walk(body) if isinstance(n, ast.Name)}
    for callee in callees.split(", "):
        assert callee in everything(), f"there is no {callee}"
        assert callee.rpartition(".")[2] in named, f"{caller} does not call {callee}"


def test_the_pictures_begin_and_end_where_they_say() -> None:
    callers = [line[1] for line in LINES]
    assert {"Controller._fill", "Evaluator.__call__", "Controller._end", "Model.predict"} <= set(callers)
    assert len(LINES) > 20


def test_every_object_of_the_table_is_there_and_every_file_of_workers_has_one() -> None:
    table = PAGE.split("each object in a sentence")[1]
    objects = [name for row in re.findall(r"^\| ([A-Z][\w, ]+) \|", table, re.MULTILINE) for name in row.split(", ")]
    assert len(objects) > 20
    assert not [name for name in objects if name not in everything()]
    for path in (PACKAGE / "workers").glob("*.py"):
        public = {
            n for n, node in known(path).items() if isinstance(node, ast.ClassDef | ast.AnnAssign) and n[0] != "_"
        }
        assert not public or public & set(objects), f"{path.name}: none of {sorted(public)} is in the table"


def test_every_file_of_the_first_table_is_there() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|/))`", PAGE.split("Imports point one way")[0])
    assert len(named) > 15
    assert not [name for name in named if not ((ROOT / name).exists() or list(PACKAGE.rglob(name)))]
