"""Imports point one way, and each heavy library is at home in few places."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "glmix_automl"

ROWS = [
    {"version", "errors", "clock", "dates", "seeds", "layout", "config", "spark"},
    {"schema", "manifest", "features", "metrics", "space", "ensemble", "trial", "pages"},
    {"generate", "prepare", "dataset", "workers", "search"},
    {"models", "study"},
    {"training", "reporting"},
    {"tracking", "check", "refit"},
    {"serving"},
    {"conclusion"},
    {"api"},
    {"nightly", "estimator"},
    {"cli"},
]
# Within the first two rows modules build on each other in this order.
FOUNDATION = [
    "version",
    "errors",
    "clock",
    "dates",
    "seeds",
    "config",
    "layout",
    "spark",
    "ensemble",
    "trial",
    "schema",
    "manifest",
    "features",
    "metrics",
    "space",
    "pages",
]
HOMES = {
    "pyspark": {
        "spark",
        "estimator",
        "prepare",
        "serving/scoring",
        "serving/answering",
        "serving/suggesting",
        "serving/frames",
        "workers/spark",
        "api",
        "cli",
    },
    "tensorflow": {"models/tensorflow", "workers/collective", "workers/averaging"},
    "horovod": {"workers"},
    "mlflow": {"tracking", "serving", "cli"},
    "matplotlib": {"pages", "prepare/report", "reporting"},
    "lightgbm": {"training/booster"},
    "numba": {"models", "training", "prepare/pairs"},
    "pandas": {"reporting", "tracking", "serving", "prepare", "api"},
}
MODULES = sorted(
    p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if p.name != "__init__.py" or p.parent != PACKAGE
)


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file; parsed once, for there are many questions."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module a file imports, those inside functions too, type-only ones left out."""
    typed = {
        id(inner)
        for node in nodes(path)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found: set[str] = set()
    for node in nodes(path):
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def row(area: str) -> int:
    return next(number for number, areas in enumerate(ROWS) if area in areas)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_earlier_rows_or_its_own_folder(module: Path) -> None:
    area = module.with_suffix("").parts[0]
    for name in imports(PACKAGE / module):
        if not name.startswith("glmix_automl."):
            continue
        other = name.split(".")[1]
        if not (PACKAGE / other).is_dir() and not (PACKAGE / f"{other}.py").is_file():
            continue
        if area in FOUNDATION and other in FOUNDATION:
            assert FOUNDATION.index(other) <= FOUNDATION.index(area), f"{module} imports {name}, which comes after it"
        else:
            assert other == area or row(other) < row(area), (
                f"{module} (row {row(area)}) imports {name} (row {row(other)})"
            )


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_each_heavy_library_is_imported_only_at_home(module: Path) -> None:
    place = module.with_suffix("").as_posix()
    for name in imports(PACKAGE / module):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or any(place == h or place.startswith((h, f"{h}/")) for h in homes), (
            f"{module} imports {name}"
        )


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """What is left when modules that import nothing left are taken away, over and over; each with one that it needs."""
    left = {module: needs & set(graph) - {module} for module, needs in graph.items()}
    while free := {module for module, needs in left.items() if not needs}:
        left = {module: needs - free for module, needs in left.items() if module not in free}
    # Those that only lead to a circle are not in it.
    while unused := set(left) - {need for needs in left.values() for need in needs}:
        left = {module: needs for module, needs in left.items() if module not in unused}
    return sorted([module, *sorted(needs)] for module, needs in left.items())


def import_graph() -> dict[str, set[str]]:
    """Every module of the package -> those that any of its lines imports."""
    paths = {name_of(path): path for path in PACKAGE.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        found = {name if name in paths else name.rpartition(".")[0] for name in imports(path)}
        graph[module] = found & set(paths)
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph()
    assert graph["glmix_automl.api"] >= {"glmix_automl.dataset", "glmix_automl.study.session"}
    assert circles(graph) == []
    assert not [module for module, needs in graph.items() if "glmix_automl" in needs], "the root loads all of them"
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"], ["c", "b"]]


def test_no_module_is_named_after_nothing() -> None:
    assert not {m.stem for m in MODULES} & {"utils", "helpers", "common", "base", "manager", "misc"}


def test_nothing_asks_what_kind_of_family_or_coordinate_it_has() -> None:
    bases = {"Coordinate", "ModelFamily"}
    classes = [node for m in MODULES for node in nodes(PACKAGE / m) if isinstance(node, ast.ClassDef)]
    parents = {c.name: {ast.unparse(base).split("[")[0] for base in c.bases} for c in classes}
    while more := {name for name, above in parents.items() if above & bases} - bases:  # subclasses of subclasses, too
        bases |= more
    assert {"Logistic", "Trees", "Mixture"} <= bases
    for module in MODULES:
        for node in nodes(PACKAGE / module):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
                asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                assert not asked & bases, f"{module}: {ast.unparse(node)}"


def test_no_class_type_or_constant_of_two_modules_has_the_same_name() -> None:
    homes: dict[str, set[str]] = {}
    for module in MODULES:
        (tree, *_) = nodes(PACKAGE / module)
        assert isinstance(tree, ast.Module)
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in [node.name] if isinstance(node, ast.ClassDef) else names:
                homes.setdefault(name, set()).add(str(module))
    assert {"Rows", "Budget", "SMALL_TABLE"} <= set(homes)
    shared = {"log"}  # each module's own logger
    assert not {n: m for n, m in homes.items() if len(m) > 1 and not n.startswith("_") and n not in shared}
