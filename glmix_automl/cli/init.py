"""`glmix-automl init TABLES...`: write a recipe and a search file from a look at the tables."""

import argparse
import sys
from pathlib import Path

from glmix_automl.cli.outcome import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument(
        "tables", nargs="+", metavar="TABLE", help="CSV, Parquet or JSON: interactions or links, and attributes"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the response, where the tables leave it open")
    parser.add_argument("--all-positive", action="store_true", help="every row is a response; negatives are drawn")
    parser.add_argument("--positive", metavar="VALUE", help="the response's value that is positive, where it is text")
    parser.add_argument("--member", metavar="COLUMN", help="the interactions' column that names the member")
    parser.add_argument("--item", metavar="COLUMN", help="the interactions' column that names the item")
    parser.add_argument("--name", help="of the data and of the files that are written (default: the tables' folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace the recipe and the search file")


def run(options: argparse.Namespace) -> Outcome:
    """Writes NAME.yaml and NAME-search.yaml into the current folder, and says what was assumed."""
    from glmix_automl.errors import ConfigError
    from glmix_automl.prepare import proposal
    from glmix_automl.prepare.pipeline import load_recipe
    from glmix_automl.prepare.roles import Asked, found
    from glmix_automl.prepare.survey import survey

    tables = [survey(path) for path in options.tables]
    name = options.name or proposal.name_of(tables)
    recipe, search = Path(f"{name}.yaml"), Path(f"{name}-search.yaml")
    if taken := [str(path) for path in (recipe, search) if path.exists() and not options.overwrite]:
        raise ConfigError(f"{', '.join(taken)}: there already; choose another --name, or --overwrite")
    roles = found(tables, Asked(options.target, options.member, options.item, options.all_positive))
    recipe.write_text(proposal.recipe(roles, name, options.positive), encoding="utf-8")
    search.write_text(proposal.search(name), encoding="utf-8")
    load_recipe(recipe)
    sys.stdout.write(recipe.read_text(encoding="utf-8"))
    sys.stdout.write(
        f"\nwrote {recipe} and {search}; next:\n  glmix-automl prepare {recipe}\n  glmix-automl search {search}\n"
    )
    return Outcome({"recipe": str(recipe), "search": str(search)})
