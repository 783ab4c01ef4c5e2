"""`glmix-automl prepare CONF`: turn raw tables into a dataset, here or on Spark."""

import argparse

from glmix_automl.cli import add_overrides
from glmix_automl.cli.outcome import Outcome
from glmix_automl.layout import SUCCESS, Folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("conf", metavar="CONF", help="the recipe, a YAML file (see docs/data.md and conf/prepare/)")
    add_overrides(parser, "set a key of the recipe, dotted: --set root=/data --set split.fractions.test=0.2")
    parser.add_argument("--overwrite", action="store_true", help="replace the dataset at the output, atomically")
    parser.add_argument("--if-missing", action="store_true", help="keep the dataset at the output if it is there")
    parser.add_argument("--key", help="of the night; fills {key} and {date} in the recipe")
    parser.add_argument(
        "--check", action="store_true", help="only check the recipe: no data is read, Spark not started"
    )
    parser.add_argument(
        "--explain", action="store_true", help="then show ten rows, raw and encoded, feature by feature"
    )
    parser.add_argument("--master", help="Spark master (default: all cores of this machine; spark-submit sets its own)")
    parser.add_argument("--driver-memory", metavar="SIZE", help="of the local Spark process (default 4g)")


def run(options: argparse.Namespace) -> Outcome:
    """Prepares the dataset and prints what is in it."""
    from glmix_automl.prepare.pipeline import load_recipe, prepare_dataset, wants_spark

    recipe = load_recipe(options.conf, options.overrides, options.key)
    if options.check:
        print(f"{options.conf}: a valid recipe `{recipe.recipe}`, to be written to {recipe.output}")
        return Outcome({"recipe": recipe.recipe, "dataset": recipe.output})
    if options.if_missing and Folder(recipe.output).exists(SUCCESS):
        print(f"{recipe.output}: a dataset is there already")
        return _outcome(recipe.output)
    from glmix_automl.prepare.report import read_report
    from glmix_automl.prepare.report_console import print_report
    from glmix_automl.spark import is_submitted, session

    asked = options.master is not None or is_submitted()
    spark = (
        session(f"prepare {recipe.name}", options.master, options.driver_memory) if wants_spark(recipe, asked) else None
    )
    prepare_dataset(spark, recipe, options.overwrite, shown=True)
    print_report(read_report(spark, recipe.output), recipe.output)
    if options.explain:
        from glmix_automl.prepare.explain import explain, raw_rows

        explain(*raw_rows(recipe.output))
    return _outcome(recipe.output)


def _outcome(output: str) -> Outcome:
    from glmix_automl.dataset import Dataset

    dataset = Dataset.open(output)
    rows = {split: dataset.rows(split) for split in dataset.manifest.splits}
    return Outcome({"dataset": output, "name": dataset.manifest.name, "digest": dataset.digest, "rows": rows})
