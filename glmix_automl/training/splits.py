"""The splits of a dataset as trials need them: this rank's rows resident, labels and cached scores in dataset order."""

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from glmix_automl import metrics
from glmix_automl.dataset import Block, Dataset
from glmix_automl.ensemble import Ensemble, Floats, pack_scores, read_scores
from glmix_automl.errors import TrialError
from glmix_automl.layout import COORDINATE, ENSEMBLE, SCORES, TRIALS, Folder
from glmix_automl.metrics.measures import AUC, Measure
from glmix_automl.models.checkpoint import load_coordinate
from glmix_automl.models.coordinate import Coordinate, Form
from glmix_automl.models.mixture import CachedScores, Targets
from glmix_automl.schema import SPLITS
from glmix_automl.seeds import derive, generator
from glmix_automl.training.measure import Held, Point
from glmix_automl.training.pairs import pair_rows
from glmix_automl.training.resident import BlockShare, RankShare, Resident, draw_order, share_of
from glmix_automl.training.source import Blocks, ResidentBlocks, Source, StreamedBlocks, score_blocks
from glmix_automl.trial import Trial
from glmix_automl.workers.collective import Collective

SHARES_KEPT = 4  # subsamples of train, and splits as blocks, beside the whole as tensors


class Splits:
    """Everything of a dataset, and of a study's earlier trials, that trials are trained and measured on.

    Attributes:
        dataset: where rows come from.
        study: where cached scores come from and go to.
        scoring_seconds: that scoring the training rows by earlier trials has taken so far.
    """

    def __init__(
        self,
        dataset: Dataset,
        study: Folder,
        collective: Collective,
        seed: int,
        block_rows: int | None = None,
        measure: str = AUC,
    ) -> None:
        self.dataset = dataset
        self.study = study
        self._collective = collective
        self._seed = seed
        self._block_rows = block_rows
        self._measure = Measure(measure)
        self.scoring_seconds = 0.0
        self._sizes: dict[float, tuple[int, float]] = {}
        self._held: dict[str, Held] = {}
        self._whole: dict[str, Resident] = {}
        self._shares: OrderedDict[tuple[str, float, Form, bool], RankShare] = OrderedDict()

    def load(self) -> None:
        """Reads what every trial needs: all rows, unless they are streamed, and what it is judged by."""
        for split in self.names if self._block_rows is None else ():
            self.resident(split)
        for split in self.held_out:
            self.held(split)

    def resident(self, split: str) -> Resident:
        """The share of a split that this rank holds; train's rows are shuffled."""
        if split not in self._whole:
            self._whole[split] = self._tensors(split)
        return self._whole[split]

    def size(self, fraction: float) -> tuple[int, float]:
        """Rows and sum of weights of a fraction of train, over all ranks."""
        if fraction not in self._sizes:
            if self._block_rows is None:
                here = self._share("train", fraction)
                own = np.array([len(here), here.weight])
            else:
                weights = self.dataset.weights("train")
                blocks = self._stream("train", fraction)
                own = np.sum([[len(b), weights[b.rows].sum(dtype=np.float64)] for b in blocks], axis=0)
            rows, weight = self._collective.allreduce(own)
            self._sizes[fraction] = round(float(rows)), float(weight)
        return self._sizes[fraction]

    def smallest_block(self, rows: int) -> int:
        """Rows that any block of training has at least, `rows` being those of all ranks."""
        share = rows // self._collective.size
        return share if self._block_rows is None else max(1, share // -(-share // self._block_rows) - 1)

    def source(self, trial: Trial, coordinate: Coordinate) -> Source:
        """What a trial trains on, in the coordinate's form: its fraction, with the offset and the labels it asks for.

        Raises:
            DataError: a score it builds on is not there.
        """
        rows, weight = self.size(trial.fraction)
        paired = _is_paired(coordinate)
        if paired:  # a pair of rows for each row of every rank's share
            size = self._collective.size
            rows, weight = 2 * size * math.ceil(rows / size), 2 * weight
        offset = self.offset("validation", trial.offset)

        def validate(trained: Coordinate) -> Point:
            held, own = self.held("validation"), self.score(trained, "validation")
            scores = own + offset
            point = replace(held.point(scores), scores=own)
            if not paired:
                return point
            return replace(point, auc=metrics.member_auc(held.label, scores, self._members("validation"), held.weight))

        def validation() -> Any:
            return self._validation(coordinate.form, offset)

        def members(split: str) -> np.ndarray:
            fraction = trial.fraction if split == "train" else 1.0
            return self._members(split)[self._share(split, fraction, coordinate.form).in_turn]

        blocks = self._blocks(trial, coordinate, rows, paired)
        return Source(blocks, rows, weight, trial.seed, validate, validation, members)

    def _members(self, split: str) -> np.ndarray:
        if not self.dataset.schema.entities:
            raise TrialError("loss pairwise: the dataset has no entities, so there is no member to compare rows within")
        return self.dataset.entity_codes(split, self.dataset.schema.entities[0].name)

    def _blocks(self, trial: Trial, coordinate: Coordinate, rows: int, paired: bool) -> Blocks:
        size, form, adjusted = self._collective.size, coordinate.form, self._adjustment(trial, coordinate)
        if form is Form.SCORES:
            return ResidentBlocks(self.cached("train"), self.dataset.rows("train"), rows, 1)
        if self._block_rows is None:
            here = self._share("train", trial.fraction, form, paired)
            return ResidentBlocks(adjusted(here).rows, len(here), rows, size, coordinate.prepare)

        if paired:
            raise TrialError("loss pairwise: needs all training rows in memory: raise memory_mb, or leave it out")

        def stream(epoch: int) -> Iterator[Block]:
            return self._stream("train", trial.fraction, form, order=derive(trial.seed, "blocks", epoch))

        def prepare(block: Block) -> Any:
            return coordinate.prepare(adjusted(share_of(block, form)).rows)

        return StreamedBlocks(stream, prepare, rows, size, self._block_rows)

    def _validation(self, form: Form, offset: np.ndarray) -> Any:
        """The validation rows of this rank with these offsets, float32 [rows of the split]."""
        if form is Form.SCORES:
            return self.cached("validation")
        here = self._share("validation", 1.0, form)
        return here.with_offset(offset[here.places]).rows

    def score(self, coordinate: Coordinate, split: str) -> np.ndarray:
        """Scores of a whole split in dataset order, gathered from every rank's share: float32 [rows]."""
        form = coordinate.form
        if form is Form.SCORES:
            return coordinate.score(self.cached(split))
        if self._block_rows is not None:
            blocks = self._stream(split, 1.0, form)
            own = score_blocks(lambda block: coordinate.score(share_of(block, form).rows), blocks)
        else:
            here = self._share(split, 1.0, form)
            own = here.in_order(coordinate.score(here.rows))
        return own if form is Form.BLOCK else self._collective.allgather(own)

    def _adjustment(self, trial: Trial, coordinate: Coordinate) -> Callable[[RankShare], RankShare]:
        """Gives rows of train the trial's offset, and labels with its teacher's share."""
        offset = None if trial.offset is None else self.offset("train", trial.offset)
        share = getattr(coordinate.parameters, "distillation", 0.0)
        label = None
        if trial.teacher is not None and share:
            taught = 1 / (1 + np.exp(-self.offset("train", trial.teacher)))
            label = ((1 - share) * self.dataset.labels("train") + share * taught).astype(np.float32)

        def adjust(rows: RankShare) -> RankShare:
            rows = rows if offset is None else rows.with_offset(offset[rows.places])
            return rows if label is None else rows.with_label(label[rows.places])

        return adjust

    def held(self, split: str) -> Held:
        """Labels, weights and members of a whole split."""
        if split not in self._held:
            entities = self.dataset.schema.entities
            members = self.dataset.entity_codes(split, entities[0].name) if entities else None
            self._held[split] = Held(self.dataset.labels(split), self.dataset.weights(split), members, self._measure)
        return self._held[split]

    def offset(self, split: str, added: Ensemble | None) -> np.ndarray:
        """The dataset's offset plus an ensemble's score: float32 [rows of the split].

        Raises:
            DataError: a member left no scores.
        """
        offset = self.dataset.offsets(split)
        if added is None:
            return offset
        return offset + added.score(lambda member: self.scores(member, split), len(offset))

    def cached(self, split: str) -> CachedScores:
        """A whole split as mixtures see it."""
        held = self.held(split)
        targets = Targets(held.label, held.weight, self.dataset.offsets(split), held.member)
        return CachedScores(targets, lambda member: self.scores(member, split))

    def scores(self, number: int, split: str) -> Floats:
        """The cached scores of a trial, float32 [rows of the split], the offset not included.

        Those of train are made, by all ranks, when they are first asked for.

        Raises:
            DataError: the trial left none, or of another dataset.
        """
        if split == "train":
            # Another world may be writing the file just now: ranks that see it score as those that do not.
            there = self.study.exists(f"{TRIALS}/{number}/{SCORES.format(split=split)}")
            absent = self._collective.allreduce(np.array([float(not there)]))
            made = self._score_train(number) if absent[0] else None
            if made is not None:
                self.write_scores(number, split, made)
                return made
        return read_scores(self.study.within(TRIALS), number, split, self.dataset.rows(split))

    def _score_train(self, number: int) -> Floats | None:
        """The training rows scored by what a trial left: a coordinate, or weights of others."""
        place = self.study.within(f"{TRIALS}/{number}")
        if place.exists(ENSEMBLE):
            found = Ensemble.from_json(json.loads(place.read(ENSEMBLE)))
            return found.score(lambda member: self.scores(member, "train"), self.dataset.rows("train"))
        if not place.exists(COORDINATE):
            return None
        started = time.perf_counter()
        scores = self.score(load_coordinate(place, self.dataset.schema), "train")
        self.scoring_seconds += time.perf_counter() - started
        return scores

    def write_scores(self, number: int, split: str, scores: np.ndarray) -> None:
        """Keeps a coordinate's scores, float32 [rows of the split]; on rank 0 only.

        Raises:
            DataError: the place cannot be written.
        """
        if self._collective.rank == 0:
            self.study.write(f"{TRIALS}/{number}/{SCORES.format(split=split)}", pack_scores(scores))

    @property
    def names(self) -> tuple[str, ...]:
        """The splits there are, train first."""
        return tuple(split for split in SPLITS if split in self.dataset.manifest.splits)

    @property
    def held_out(self) -> tuple[str, ...]:
        """Those that nothing is trained on."""
        return tuple(split for split in self.names if split != "train")

    def _share(self, split: str, fraction: float, form: Form = Form.TENSORS, paired: bool = False) -> RankShare:
        """The share of this rank; of tensors all splits are kept, of subsamples, blocks and pairs the last few."""
        if form is Form.TENSORS and fraction == 1 and not paired:
            return self.resident(split)
        key = split, fraction, form, paired
        if key not in self._shares:
            own = self._block(split, fraction) if form is Form.BLOCK else self._tensors(split, fraction, paired)
            self._shares[key] = own
            while len(self._shares) > SHARES_KEPT:
                self._shares.popitem(last=False)
        self._shares.move_to_end(key)
        return self._shares[key]

    def _stream(
        self, split: str, fraction: float, form: Form = Form.TENSORS, order: int | None = None
    ) -> Iterator[Block]:
        rows, entities, ranks = self._block_rows or 1, form is Form.BLOCK, self._ranks(form)
        return self.dataset.stream(
            split, rows, *ranks, fraction=fraction, seed=self._seed, order=order, entities=entities
        )

    def _block(self, split: str, fraction: float) -> BlockShare:
        ranks = self._ranks(Form.BLOCK)
        return BlockShare(self.dataset.read(split, *ranks, fraction=fraction, seed=self._seed, entities=True))

    def _tensors(self, split: str, fraction: float = 1.0, paired: bool = False) -> Resident:
        """Copied from resident rows where this rank holds them all: a file is decoded whole for any of its rows."""
        ranks = self._ranks(Form.TENSORS)
        places = self.dataset.places(split, *ranks, fraction=fraction, seed=self._seed)
        order, whole = self._order(split, places, paired), self._whole.get(split)
        if order is not None and whole is not None and whole.holds(places):
            return whole.pick(places, order)
        return Resident.of(self.dataset.read(split, *ranks, fraction=fraction, seed=self._seed), order)

    def _order(self, split: str, places: np.ndarray, paired: bool) -> np.ndarray | None:
        """In which order this rank has the rows at these places: those of train are shuffled, or in pairs."""
        if paired:
            label, members = self.dataset.labels(split)[places], self._members(split)[places]
            return pair_rows(label, members, generator(self._seed, "pairs"))
        return draw_order(len(places), self._seed) if split == "train" else None

    def _ranks(self, form: Form) -> tuple[int, int]:
        """Which share of how many this rank reads: of blocks every rank has the whole, as it shares out entities."""
        return (0, 1) if form is Form.BLOCK else (self._collective.rank, self._collective.size)


def _is_paired(coordinate: Coordinate) -> bool:
    """Whether it is trained by gradient steps on pairs of rows."""
    return coordinate.in_graph and getattr(coordinate.parameters, "loss", "") == "pairwise"
