"""The columns of conf/prepare/generated-jymbii.yaml by Polars alone, in memory: a bound for `benchmarks/prepare.py`.

    python benchmarks/bound_polars.py RAW OUT

As `bound_duckdb.py`: history, split, statistics, vocabularies, encoding, sorted shards; no report or digests.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import numpy as np
import polars as pl

DAY = 86_400
HISTORY = {
    "member": ["member_id"], "item": ["item_id"], "industry": ["ind"], "member_industry": ["member_id", "ind"],
}  # fmt: skip
ROW = {"position": True, **{f"past_{k}_{s}": s != "rate" for k in HISTORY for s in ("count", "rate", "seconds")}}
SIDE = {"member_id": {"years_of_experience": False, "connections": True}, "item_id": {"level": False, "salary": True}}
RANKED = {"member_id": "search_intensity", "item_id": "posted_at"}
TERMS = {"member_id": ("region", "industry", "education"), "item_id": ("region", "industry", "remote", "company_size")}


def main() -> None:
    raw, out = sys.argv[1], Path(sys.argv[2])
    sides = {
        key: pl.read_parquet(f"{raw}/{name}.parquet/*.parquet")
        for key, name in (("member_id", "members"), ("item_id", "items"))
    }
    rows = with_history(read(raw), sides["item_id"])
    train = rows.filter(split="train")
    weighed = {key: side.join(train.group_by(key).agg(w=pl.len()), on=key) for key, side in sides.items()}
    words = vocabularies(train, weighed)
    made = {key: encoded_side(sides[key], weighed[key], key, words) for key in sides}
    own = scaled(train.with_columns(w=1), ROW)
    kept = rows.select(
        "split", "uid", pl.lit(1.0, pl.Float32).alias("weight"), pl.lit(0.0, pl.Float32).alias("offset"),
        "member_id", "item_id",
        pl.col("y").cast(pl.Float32).alias("label"), pl.col("t").cast(pl.Float64).alias("timestamp"),
        ids("device", words["device"]), *own,
    )  # fmt: skip
    write(kept, made, out)


def read(raw: str) -> pl.DataFrame:
    rows = pl.read_parquet(f"{raw}/interactions.parquet/*.parquet").select(
        "member_id", "item_id", "device", "position", uid=pl.col("impression_id").cast(pl.String),
        y=pl.col("response").cast(pl.Int64), t="timestamp",
    )  # fmt: skip
    assert rows["uid"].n_unique() == len(rows)
    assert rows["y"].is_in([0, 1]).all()
    return rows


def with_history(rows: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    times = rows["t"].sort()
    validation, test = (times[int(share * len(rows))] for share in (0.8, 0.9))
    days = rows.group_by(day=pl.col("t") // DAY).agg(n=pl.len(), p=pl.col("y").sum()).sort("day")
    before = {c: pl.col(c).cum_sum() - pl.col(c) for c in "np"}
    days = days.select("day", prior=(before["p"] + 1) / (before["n"] + 2))
    rows = rows.join(items.select("item_id", ind="industry"), on="item_id", how="left").sort("t")
    rows = rows.with_columns(
        day=pl.col("t") // DAY,
        split=pl.when(pl.col("t") < validation).then(pl.lit("train")).when(pl.col("t") < test)
        .then(pl.lit("validation")).otherwise(pl.lit("test")),
    ).join(days, on="day", how="left", maintain_order="left")  # fmt: skip
    for name, keys in HISTORY.items():
        seen = {
            "n": pl.int_range(pl.len()).over(keys), "p": (pl.col("y").cum_sum() - pl.col("y")).over(keys),
            "last": pl.col("t").shift(1).over(keys),
        }  # fmt: skip
        # Rows of one moment see what the first of them sees.
        rows = rows.with_columns(**seen).with_columns(pl.col("n", "p", "last").first().over([*keys, "t"]))
        rows = rows.with_columns(
            (pl.col("n")).alias(f"past_{name}_count"),
            ((pl.col("p") + 5 * pl.col("prior")) / (pl.col("n") + 5)).alias(f"past_{name}_rate"),
            (pl.col("t") - pl.col("last")).alias(f"past_{name}_seconds"),
        ).drop("n", "p", "last")
    return rows


def vocabularies(train: pl.DataFrame, weighed: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Terms and ids, by falling number of training rows."""
    parts: dict[str, list[pl.DataFrame]] = {"device": [train.select(term="device", w=1)]}
    for key, names in TERMS.items():
        for name in names:
            parts.setdefault(name, []).append(weighed[key].select(term=name, w="w"))
        parts.setdefault("skill", []).append(weighed[key].explode("skills").select(term="skills", w="w"))
    result = {}
    for name, tables in parts.items():
        counts = pl.concat([t.with_columns(pl.col("w").cast(pl.Int64)) for t in tables]).drop_nulls()
        counts = counts.filter(pl.col("term") != "").group_by("term").agg(pl.col("w").sum()).filter(pl.col("w") >= 5)
        counts = counts.sort(-pl.col("w"), "term")
        result[name] = counts.select("term", id=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    return result


def encoded_side(side: pl.DataFrame, weighed: pl.DataFrame, key: str, words: dict[str, pl.DataFrame]) -> pl.DataFrame:
    found = weighed.drop_nulls(RANKED[key]).sort(RANKED[key])
    weights, levels = found["w"].cum_sum().to_numpy(), np.linspace(0, 1, 101)
    at = np.searchsorted(weights, levels * weights[-1]).clip(0, len(weights) - 1)
    numbers = side[RANKED[key]].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    rank = np.interp(numbers, found[RANKED[key]].to_numpy().astype(float)[at], levels)
    rank = np.where(np.isnan(numbers), 0, (rank - 0.5) * 12**0.5).astype(np.float32)
    bags = side.select(key, term="skills").explode("term").join(words["skill"], on="term").unique([key, "id"])
    bags = bags.sort(key, "id").group_by(key).agg(skills="id")
    made = side.select(
        key, *(ids(n, words[n]) for n in TERMS[key]), *scaled(weighed, SIDE[key]),
        pl.col(RANKED[key]).is_null().cast(pl.Float32).alias(f"{RANKED[key]}_missing"),
    ).with_columns(pl.Series(RANKED[key], rank))  # fmt: skip
    return made.join(bags, on=key, how="left").with_columns(pl.col("skills").fill_null(pl.lit([], pl.List(pl.Int32))))


def ids(name: str, words: pl.DataFrame) -> pl.Expr:
    return pl.col(name).replace_strict(words["term"], words["id"], default=0, return_dtype=pl.Int32)


def scaled(train: pl.DataFrame, columns: dict[str, bool]) -> list[pl.Expr]:
    """Columns less their mean in train (rows weighed by `w`), by their deviation, and where they are missing."""
    made = []
    for name, log in columns.items():
        number = pl.col(name).cast(pl.Float64)
        curve = number.sign() * number.abs().log1p() if log else number
        w = pl.col("w")
        total, square, there, rows = train.select(
            (curve * w).sum().alias("a"), (curve * curve * w).sum().alias("b"),
            w.filter(number.is_not_null()).sum().alias("c"), w.sum().alias("d"),
        ).row(0)  # fmt: skip
        mean = total / there
        deviation = max(square / there - mean * mean, 0.0) ** 0.5 or 1.0
        made.append(((curve - mean) / deviation).fill_null(0).cast(pl.Float32).alias(name))
        if there < rows:
            made.append(number.is_null().cast(pl.Float32).alias(f"{name}_missing"))
    return made


def write(rows: pl.DataFrame, sides: dict[str, pl.DataFrame], out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    for (split,), part in rows.partition_by("split", as_dict=True, include_key=False).items():
        (out / str(split)).mkdir(parents=True)
        shards = -(-len(part) // 250_000)
        numbered = part.with_columns(shard=(pl.col("member_id").hash() // 2**20) % shards)
        for number, shard in enumerate(numbered.partition_by("shard", include_key=False)):
            made = shard.sort("member_id", "timestamp", "uid")
            made = made.join(sides["member_id"], on="member_id", how="left", maintain_order="left")
            made = made.join(sides["item_id"], on="item_id", how="left", maintain_order="left", suffix="_item")
            made.write_parquet(out / str(split) / f"part-{number:05d}.parquet", compression="snappy")


if __name__ == "__main__":
    main()
