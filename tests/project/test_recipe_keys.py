"""docs/recipe.md is what the recipes' models say: `python -m tests.project.test_recipe_keys` writes it anew."""

import types
import typing
from pathlib import Path
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

DOCS = Path(__file__).resolve().parents[2] / "docs" / "recipe.md"
HEAD = """# Every key of a recipe

Made from the models that read recipes (`python -m tests.project.test_recipe_keys > docs/recipe.md`). [data.md](data.md)
says how they go together.
"""


def reference() -> str:
    """Markdown: one table per model, in the order in which the recipes name them."""
    from glmix_automl.prepare.pipeline import RECIPES

    waiting: list[type[pydantic.BaseModel]] = [made[0] for made in RECIPES.values()]
    done: list[type[pydantic.BaseModel]] = []
    parts = [HEAD]
    while waiting:
        model = waiting.pop(0)
        if model in done:
            continue
        done.append(model)
        said = " ".join((model.__doc__ or "").split())
        parts.append(f"\n## {model.__name__}\n\n{said}\n\n| key | value | default | |\n|---|---|---|---|\n")
        for name, field in model.model_fields.items():
            waiting += models(field.annotation)
            cells = (f"`{name}`", shown(field.annotation), default(field), " ".join((field.description or "").split()))
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


def models(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in models(argument)]


def shown(annotation: Any) -> str:
    """A type in a person's words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        return shown(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(shown, arguments))
    if origin is tuple:
        return f"list of {shown(arguments[0])}"
    if origin is dict:
        return f"{shown(arguments[0])} to {shown(arguments[1])}"
    names = {"str": "text", "bool": "true or false", "int": "whole number", "float": "number"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, f"[{name}](#{name.lower()})")


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, pydantic.BaseModel):
        return "its own defaults"
    if isinstance(value, dict | tuple):
        return f"`{list(value)!r}`" if value else "none"
    named = {None: "none", True: "true", False: "false"} if value is None or isinstance(value, bool) else {}
    return named.get(value, f"`{value!r}`")


def test_the_docs_list_every_key_as_the_models_have_it() -> None:
    assert DOCS.read_text() == reference(), "run: python -m tests.project.test_recipe_keys > docs/recipe.md"
    assert "(recipe.md)" in DOCS.with_name("data.md").read_text()


if __name__ == "__main__":
    print(reference(), end="")
