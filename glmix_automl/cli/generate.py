"""`glmix-automl generate`: raw tables with a known truth, and the ceiling of a dataset prepared from them."""

import argparse

from glmix_automl.cli.outcome import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the subcommand takes."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    pymk = kinds.add_parser("pymk", help="a network of members: edges, nodes")
    jymbii = kinds.add_parser("jymbii", help="suggestions shown to members: interactions, members, items")
    for kind, what in ((pymk, "links"), (jymbii, "suggestions shown")):
        kind.add_argument("--rows", type=int, required=True, help=what)
        kind.add_argument("--seed", type=int, default=0)
        kind.add_argument("--output", required=True, metavar="URI", help="folder of the tables and truth.json")
        kind.add_argument("--members", type=int, default=0, help="by the rows unless given")
        kind.add_argument("--days", type=int, help="time that the rows span")
        kind.add_argument("--format", choices=("parquet", "csv"), default="parquet")
        kind.add_argument("--overwrite", action="store_true", help="replace tables written before")
    jymbii.add_argument("--items", type=int, default=0, help="by the rows unless given")
    jymbii.add_argument("--effects", type=float, help="how large random effects are; 0 plants none, 1 unless given")
    ceiling = kinds.add_parser("ceiling", help="the AUC of the true probabilities on a prepared dataset")
    ceiling.add_argument("--truth", required=True, metavar="URI", help="folder that generate wrote")
    ceiling.add_argument("--dataset", required=True, metavar="URI", help="dataset prepared from it")
    ceiling.add_argument(
        "--window",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("FROM", "TO"),
        help="shares of time between which the hidden links of a network lie, where they were hidden by time",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Generates, or computes a ceiling, and prints what came of it."""
    from glmix_automl import config
    from glmix_automl.generate.write import DATA_SETS, ceiling_of, write_tables

    if options.kind == "ceiling":
        found = ceiling_of(options.truth, options.dataset, tuple(options.window))
        for split, aucs in found.items():
            for score, auc in aucs.items():
                print(f"{split}: AUC of the {score}: {auc:.4f}")
        return Outcome({"ceilings": found})
    given = {
        name: getattr(options, name)
        for name in ("rows", "seed", "members", "items", "days", "effects")
        if getattr(options, name, None) is not None
    }
    settings = config.parse(given, DATA_SETS[options.kind].settings, f"generate {options.kind}")
    truth = write_tables(options.kind, settings, options.output, options.format, options.overwrite)
    for name, rows in truth["rows"].items():
        print(f"{options.output.rstrip('/')}/{name}.{options.format}: {rows:,} rows")
    for name, auc in truth["ceilings"].items():
        print(f"ceiling, AUC of the true probabilities, {name}: {auc:.4f}")
    return Outcome({"tables": options.output, "rows": truth["rows"], "ceilings": truth["ceilings"]})
