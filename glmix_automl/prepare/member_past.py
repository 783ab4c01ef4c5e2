"""The history columns of the rows of a partition of members, from what they show and the answers that came to them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare import followed
from glmix_automl.prepare.as_of import NEVER, Accumulator, Reals
from glmix_automl.prepare.blocks import PartBlock
from glmix_automl.prepare.exchange import Ints
from glmix_automl.prepare.followed import EFFECT, effects_of, recent_name, signals_of
from glmix_automl.prepare.history_features import FollowedAttribute, HistoryFeatures
from glmix_automl.prepare.key_history import KeyHistory
from glmix_automl.prepare.known import Known, mixed
from glmix_automl.prepare.past_columns import (
    FIXED_ONE,
    OF_LABEL,
    RECENT,
    effect_name,
    mean_name,
    names,
    over_values,
    recent_effect,
    recent_rate,
    share_name,
    smoothed,
    taste_names,
)
from glmix_automl.prepare.priors import Priors

_KEPT = ("n", "label", "last")


class Past:
    """The past of the members of a partition: begins with what was known, grows with every block of their rows."""

    def __init__(
        self,
        wanted: HistoryFeatures,
        priors: Priors,
        part: int = 0,
        parts: int = 1,
        known: Known | None = None,
        named: bool = False,
    ) -> None:
        """For one of `parts` partitions; `named` where the state at the end is to be written, with texts of keys."""
        self._wanted = wanted
        self._priors = priors
        self._named = named

        def follow(key: str, accumulators: tuple[Accumulator, ...]) -> KeyHistory:
            return KeyHistory(key, accumulators, known, part, parts)

        self._members = follow("member", followed.of_members(wanted)) if wanted.follows_members else None
        self._tastes = [follow(f"member_{a.key}", followed.of_tastes(wanted)) for a in wanted.attributes]

    def of(
        self, block: PartBlock, items: pa.Table | None, attributes: pa.Table | None
    ) -> tuple[dict[str, pa.Array], dict[str, Ints]]:
        """The columns of `past_columns.past_features` but those from models of items, and the effects of each row.

        Counts, rates and tastes are null for an item without a value of the attribute, seconds where there is no past.

        Args:
            block: rows with columns `key` (of the member), `e0`, `time`, `label`, signals; later than those before.
            items: answers of `history.items_step` for them.
            attributes: answers of `history.attributes_step`.
        """
        described = _Described(self._wanted, self._priors, block.rows)
        at = block.at(items["file"].to_numpy(), items["place"].to_numpy()) if items is not None else None
        if items is not None and at is not None and self._wanted.follows_items:
            accumulators = followed.of_items(self._wanted)
            described.items({a.name: _scattered(items[a.name].to_numpy(), at, len(at)) for a in accumulators})
        if self._members is not None:
            found = self._members.before(*described.asked, described.signals | described.effects)
            described.members(found)
            if self._named:
                self._members.name(described.member, {"member": block.rows["e0"]})
        if items is not None and at is not None:
            for number, (attribute, tastes) in enumerate(zip(self._wanted.attributes, self._tastes, strict=True)):
                lists = items[f"a{number}"].combine_chunks()
                row = at[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)]
                value = lists.flatten().to_numpy(zero_copy_only=False)
                if attributes is not None:
                    here = attributes.filter(pc.equal(attributes["attribute"], number))
                    described.values(attribute, row, here, block)
                self._taste(attribute, tastes, described, row, value)
        return described.columns, described.effects

    def _taste(
        self, attribute: FollowedAttribute, tastes: KeyHistory, described: "_Described", row: Ints, value: Ints
    ) -> None:
        member, time, label = described.asked
        both = mixed(member[row], value)
        found = tastes.before(both, time[row], label[row], {n: e[row] for n, e in described.effects.items()})
        described.tastes(attribute, row, found)
        if self._named:
            tastes.name(both, {"member": described.ids.take(pa.array(row)), "key": value})

    def write(self, out: str) -> None:
        """Writes what is known at the end beside the dataset in the folder `out`."""
        for each in (*((self._members,) if self._members is not None else ()), *self._tastes):
            each.write(out)


class _Described:
    """Columns of history of a block of rows, from numbers of keys as of each."""

    def __init__(self, wanted: HistoryFeatures, priors: Priors, rows: pa.Table) -> None:
        self._wanted = wanted
        self._priors = priors
        self.ids = rows["e0"]
        self.member, self._time, self._label = (rows[c].to_numpy() for c in ("key", "time", "label"))
        self.signals = {s: rows[s].to_numpy() for s in signals_of(wanted)}
        self._prior = priors.at(self._time) if len(self._time) else np.empty(0)
        self.columns: dict[str, pa.Array] = {}
        self.effects: dict[str, Ints] = {}
        self._member_rows: Ints = np.zeros(len(self._time), np.int64)
        self._shares: dict[str, Reals] = {}
        """Of attributes: the share of all rows that those with the item's values are."""

    @property
    def asked(self) -> tuple[Ints, Ints, npt.NDArray[Any]]:
        """Of each row: the member's key, time, label."""
        return self.member, self._time, self._label

    def items(self, found: Mapping[str, Any]) -> None:
        """What is known of items, and so the effect of each row."""
        if self._wanted.item:
            self._counted("item", found, share=self._share_of_rows(found["n"]))
        means = [(found["label"] + self._wanted.smoothing * self._prior) / (found["n"] + self._wanted.smoothing)]
        means += self._means("item", found)
        responses = [self._label, *(s / FIXED_ONE for s in self.signals.values())]
        for name, response, mean in zip(effects_of(self._wanted), responses, means, strict=True):
            effect = np.where(np.isnan(mean), 0.0, response - np.nan_to_num(mean))
            if self._wanted.takes and name == EFFECT:
                effect = np.ones(len(effect))
            self.effects[name] = np.rint(effect * FIXED_ONE).astype(np.int64)
        if self._wanted.recent:
            self._recent_rates("item", found)

    def members(self, found: Mapping[str, Any]) -> None:
        """What is known of members."""
        wanted = self._wanted
        self._member_rows = found["n"]
        if wanted.member:
            self._counted("member", found)
        self._means("member", found)
        named = list(zip(effects_of(wanted), (OF_LABEL, *wanted.signals), strict=True))
        if wanted.effects:
            for effect, signal in named:
                mean = smoothed(found[effect] / FIXED_ONE, found["n"], wanted.smoothing)
                self._number(effect_name("member", signal), mean)
        if wanted.recent:
            self._recent_rates("member", found)
            for half_life in RECENT:
                count = found[recent_name("rows", half_life)]
                for effect, signal in named:
                    total = found[recent_name(effect, half_life)] / FIXED_ONE
                    self._number(recent_effect(signal, half_life), smoothed(total, count, 1.0))

    def values(self, attribute: FollowedAttribute, row: Ints, answers: pa.Table, block: PartBlock) -> None:
        """What is known of the values of an attribute that the rows' items have; `row` [values] is each one's row."""
        at = block.at(answers["file"].to_numpy(), answers["place"].to_numpy())
        summed = _summed({n: answers[n].to_numpy() for n in _KEPT}, at, len(self._time))
        self._shares[attribute.key] = self._share_of_rows(summed["n"])
        self._counted(attribute.key, summed, self._has(row), self._shares[attribute.key])

    def tastes(self, attribute: FollowedAttribute, row: Ints, found: Mapping[str, Any]) -> None:
        """What is known of members with values of an attribute."""
        rows, wanted = len(self._time), self._wanted
        of_member = _summed(found, row, rows)
        share = self._shares.get(attribute.key, np.zeros(rows))
        if wanted.takes:
            share = (of_member["n"] + wanted.smoothing * share) / (self._member_rows + wanted.smoothing)
        self._counted(f"member_{attribute.key}", of_member, self._has(row), share)
        if wanted.tastes:
            for effect, signal in zip(effects_of(wanted), (OF_LABEL, *wanted.signals), strict=True):
                each = smoothed(found[effect] / FIXED_ONE, found["n"], wanted.smoothing)
                for name, column in zip(taste_names(attribute.key, signal), over_values(each, row, rows), strict=True):
                    self._number(name, column)

    def _has(self, row: Ints) -> npt.NDArray[np.bool_]:
        return np.bincount(row, minlength=len(self._time)) > 0

    def _means(self, key: str, found: Mapping[str, Any]) -> list[Reals]:
        """Describes the means of signals, and gives them."""
        means = []
        for number, (name, signal) in enumerate(zip(self.signals, self._wanted.signals, strict=True)):
            prior = self._priors.of_signal(number, self._time)
            means.append(smoothed(found[name] / FIXED_ONE, found["n"], self._wanted.smoothing, prior))
            self._number(mean_name(key, signal), means[-1])
        return means

    def _recent_rates(self, key: str, found: Mapping[str, Any]) -> None:
        for half_life in RECENT:
            total, count = (found[recent_name(n, half_life)] for n in ("label", "rows"))
            self._number(recent_rate(key, half_life), smoothed(total, count, 1.0, self._prior))

    def _share_of_rows(self, n: Ints) -> Reals:
        """The share of all rows before the row's day that `n` rows are, by Laplace's rule."""
        before = self._priors.rows_before(self._time) if len(self._time) else n
        return np.asarray((n + 1) / (np.maximum(before, n) + 1), np.float64)

    def _counted(
        self,
        key: str,
        found: Mapping[str, Any],
        has: npt.NDArray[np.bool_] | None = None,
        share: Reals | None = None,
    ) -> None:
        """Count, rate and seconds of a key; of positives only its share, if it has one, in place of the rate.

        Args:
            key: in the names of the columns.
            found: its numbers [rows].
            has: [rows] whether there is such a key.
            share: [rows], of what there is.
        """
        count, rate, seconds = names(key)
        n, positives, last = (found[k] for k in _KEPT)
        none = np.zeros(len(n), bool) if has is None else ~has
        smoothing = self._wanted.smoothing
        self.columns[count] = pa.array(n.astype(np.float64), mask=none)
        if not self._wanted.takes:
            self.columns[rate] = pa.array((positives + smoothing * self._prior) / (n + smoothing), mask=none)
        elif share is not None:
            self.columns[share_name(key)] = pa.array(np.log(np.maximum(share, 1e-12)), mask=none)
        if not self._wanted.timed:
            return
        never = none | (last == NEVER)
        since = (self._time - np.where(never, self._time, last)) / 1e6
        self.columns[seconds] = pa.array(since, mask=never)

    def _number(self, name: str, values: Reals) -> None:
        self.columns[name] = pa.array(values, mask=np.isnan(values))


def _scattered(values: Ints, at: Ints, rows: int) -> Ints:
    result = np.empty(rows, values.dtype)
    result[at] = values
    return result


def _summed(found: Mapping[str, Ints], row: Ints, rows: int) -> dict[str, Ints]:
    """The numbers of a row's values together: sums, and the latest of the last."""
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    result = {}
    for name in _KEPT:
        column = np.full(rows, NEVER if name == "last" else 0, np.int64)
        if len(starts):
            add = np.maximum if name == "last" else np.add
            column[row[order][starts]] = add.reduceat(found[name][order], starts)
        result[name] = column
    return result
