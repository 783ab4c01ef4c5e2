"""The columns of conf/prepare/generated-jymbii.yaml by DuckDB alone: a bound for `benchmarks/prepare.py`.

    python benchmarks/bound_duckdb.py RAW OUT

History, split, statistics, vocabularies, encoding and sorted shards; no report, digests or checks but labels and uids.
Bags stay out of the rows until a shard is written, as DuckDB's joins would otherwise copy them.
"""

import shutil
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

HISTORY = {"member": "member_id", "item": "item_id", "industry": "ind", "member_industry": "member_id, ind"}
LOG = ("position", *(f"past_{k}_{s}" for k in HISTORY for s in ("count", "seconds")), "connections", "salary")
ROW = ("position", *(f"past_{k}_{s}" for k in HISTORY for s in ("count", "rate", "seconds")))
SIDE = {"m": ("years_of_experience", "connections"), "i": ("level", "salary")}
RANKED = {"m": "search_intensity", "i": "posted_at"}
KEY = {"m": "member_id", "i": "item_id"}
TERMS = {
    "device": (("r", "device"),), "region": (("m", "region"), ("i", "region")),
    "industry": (("m", "industry"), ("i", "industry")), "education": (("m", "education"),),
    "remote": (("i", "remote"),), "company_size": (("i", "company_size"),),
    "skill": (("m", "unnest(skills)"), ("i", "unnest(skills)")),
}  # fmt: skip


def main() -> None:
    raw, out = sys.argv[1], Path(sys.argv[2])
    base = duckdb.connect()
    base.sql("set threads = 2; set memory_limit = '4GB'; set preserve_insertion_order = false")
    read(base, raw)
    with_history(base)
    encode_sides(base)
    write(base, out)


def read(base: duckdb.DuckDBPyConnection, raw: str) -> None:
    base.sql(f"create table m as from '{raw}/members.parquet/*.parquet'")
    base.sql(f"create table i as from '{raw}/items.parquet/*.parquet'")
    base.sql(f"""create table e as select impression_id::varchar uid, member_id, item_id, response y, timestamp t,
        device, position from '{raw}/interactions.parquet/*.parquet'""")
    rows, odd, uids = base.sql("select count(*), count_if(y not in (0, 1)), count(distinct uid) from e").fetchall()[0]
    assert not odd
    assert uids == rows


def with_history(base: duckdb.DuckDBPyConnection) -> None:
    rows = base.sql("select count(*) from e").fetchall()[0][0]
    borders = [
        base.sql(f"select t from e order by t limit 1 offset {int(share * rows)}").fetchall()[0][0]
        for share in (0.8, 0.9)
    ]
    seen = []
    for name, key in HISTORY.items():
        past = f"over (partition by {key} order by t range between unbounded preceding and 1 preceding)"
        seen.append(f"count(*) {past} n_{name}, coalesce(sum(y) {past}, 0) p_{name}, max(t) {past} l_{name}")
    base.sql(f"""create table h as select *, {", ".join(seen)}
        from (select e.*, industry ind from e left join i using (item_id))""")
    base.sql("""create table prior as
        select day, (coalesce(sum(p) over w, 0) + 1) / (coalesce(sum(n) over w, 0) + 2) prior
        from (select t // 86400 as day, count(*) n, sum(y) p from e group by 1)
        window w as (order by day rows between unbounded preceding and 1 preceding)""")
    past = ", ".join(
        f"n_{k} past_{k}_count, (p_{k} + 5 * prior) / (n_{k} + 5) past_{k}_rate, t - l_{k} past_{k}_seconds"
        for k in HISTORY
    )
    base.sql(f"""create table r as select uid, member_id, item_id, y, t, device, position,
        case when t < {borders[0]} then 'train' when t < {borders[1]} then 'validation' else 'test' end split, {past}
        from h join prior on t // 86400 = day""")
    base.sql("drop table h")
    for side, key in KEY.items():
        base.sql(f"create table w_{side} as select {key}, count(*) w from r where split = 'train' group by 1")


def encode_sides(base: duckdb.DuckDBPyConnection) -> None:
    for name, places in TERMS.items():
        parts = " union all ".join(
            f"select {term} term, 1 w from r where split = 'train'" if table == "r"
            else f"select {term} term, w from {table} join w_{table} using ({KEY[table]})"
            for table, term in places
        )  # fmt: skip
        base.sql(f"""create table v_{name} as select term, (row_number() over (order by n desc, term))::int id
            from (select term, sum(w) n from ({parts}) where term <> '' group by term having sum(w) >= 5)""")
    for side, key in KEY.items():
        ranked(base, side)
        names = [n for n, places in TERMS.items() if n not in ("skill", "device") and any(t == side for t, _ in places)]
        ids = ", ".join(f"coalesce(v_{n}.id, 0) {n}" for n in names)
        joins = " ".join(f"left join v_{n} on v_{n}.term = s.{n}" for n in names)
        numbers = ", ".join(scaled(base, side, n) for n in SIDE[side])
        base.sql(f"""create table bag_{side} as select {key}, list(id order by id) skills from
            (select distinct {key}, v_skill.id from (select {key}, unnest(skills) term from {side})
            join v_skill using (term)) group by 1""")
        base.sql(f"""create table s_{side} as select s.{key}, {ids}, {numbers}, q.q {RANKED[side]},
            ({RANKED[side]} is null)::int::float {RANKED[side]}_missing, coalesce(b.skills, []) skills
            from {side} s {joins} left join q_{side} q on q.{key} = s.{key}
            left join bag_{side} b on b.{key} = s.{key}""")


def scaled(base: duckdb.DuckDBPyConnection, table: str, name: str) -> str:
    """SQL of a column less its mean in train, by its deviation, and of where it is missing."""
    curve = f"sign({name}) * ln(1 + abs({name}))" if name in LOG else name
    source = "r where split = 'train'" if table == "r" else f"{table} join w_{table} using ({KEY[table]})"
    w = "1" if table == "r" else "w"
    total, square, there, rows = base.sql(f"""select sum({w} * {curve}), sum({w} * ({curve}) * ({curve})),
        sum({w}) filter ({name} is not null), sum({w}) from {source}""").fetchall()[0]
    mean = float(total / there)
    deviation = max(float(square / there) - mean * mean, 0.0) ** 0.5 or 1.0
    missing = f", ({name} is null)::int::float {name}_missing" if there < rows else ""
    return f"coalesce((({curve}) - {mean!r}) / {deviation!r}, 0)::float {name}{missing}"


def ranked(base: duckdb.DuckDBPyConnection, side: str) -> None:
    """The table q_<side>: each id's rank among training rows."""
    key, name = KEY[side], RANKED[side]
    found = base.sql(
        f"select {name} x, w from {side} join w_{side} using ({key}) where {name} is not null order by 1"
    ).fetchnumpy()
    weights = np.cumsum(found["w"])
    levels = np.linspace(0, 1, 101)
    knots = found["x"].astype(float)[np.searchsorted(weights, levels * weights[-1]).clip(0, len(weights) - 1)]
    every = base.sql(f"select {key}, {name} from {side}").to_arrow_table()
    numbers = every[name].cast(pa.float64()).fill_null(np.nan).to_numpy()
    rank = np.where(np.isnan(numbers), 0, (np.interp(numbers, knots, levels) - 0.5) * 12**0.5).astype(np.float32)
    made = pa.table({key: every[key], "q": rank})  # noqa: F841  DuckDB finds it by its name
    base.sql(f"create table q_{side} as from made")


def write(base: duckdb.DuckDBPyConnection, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    numbers = ", ".join(scaled(base, "r", n) for n in ROW)
    for split, rows in base.sql("select split, count(*) from r group by 1").fetchall():
        (out / split).mkdir(parents=True)
        shards = -(-rows // 250_000)
        for number in range(shards):
            base.sql(f"""copy (select uid, y::float as "label", 1::float weight, 0::float as "offset",
                t::double as "timestamp", r.member_id, r.item_id, coalesce(v_device.id, 0) device, {numbers},
                s_m.* exclude (member_id), s_i.* exclude (item_id) from r left join v_device on v_device.term = device
                left join s_m on s_m.member_id = r.member_id left join s_i on s_i.item_id = r.item_id
                where split = '{split}' and (hash(r.member_id) >> 20) % {shards} = {number}
                order by r.member_id, t, uid)
                to '{out / split / f"part-{number:05d}.parquet"}' (format parquet, compression snappy)""")


if __name__ == "__main__":
    main()
