"""The splits of a dataset as trials need them: this rank's rows resident, labels and cached scores in dataset order."""

import io
from collections import OrderedDict

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.errors import TrialError
from glmix_automl.layout import SCORES, TRIALS, Folder
from glmix_automl.models import mixture
from glmix_automl.schema import SPLITS
from glmix_automl.training.measure import Held
from glmix_automl.training.resident import Resident
from glmix_automl.trial import Mixture, Trial
from glmix_automl.workers.collective import Collective

FRACTIONS_KEPT = 2  # resident subsamples beside the whole


class Splits:
    """Everything of a dataset, and of a study's earlier trials, that trials are trained and measured on.

    Attributes:
        dataset: where rows come from.
        study: where cached scores come from and go to.
    """

    def __init__(self, dataset: Dataset, study: Folder, collective: Collective, seed: int) -> None:
        self.dataset = dataset
        self.study = study
        self._collective = collective
        self._seed = seed
        self._held: dict[str, Held] = {}
        self._whole: dict[str, Resident] = {}
        self._parts: OrderedDict[float, Resident] = OrderedDict()

    def resident(self, split: str) -> Resident:
        """The share of a split that this rank holds; train's rows are shuffled."""
        if split not in self._whole:
            self._whole[split] = self._read(split, 1.0)
        return self._whole[split]

    def train(self, trial: Trial) -> Resident:
        """The rows a trial trains on: its fraction, with the offset and the labels it asks for.

        Raises:
            TrialError: a score it builds on is not there.
        """
        rows = self.resident("train") if trial.fraction == 1 else self._part(trial.fraction)
        if trial.offset is not None:
            rows = rows.with_offset(self.offset("train", trial.offset)[rows.places])
        share = float(trial.parameters.get("distillation") or 0.0)
        if trial.teacher is not None and share:
            taught = 1 / (1 + np.exp(-self.offset("train", trial.teacher)[rows.places]))
            rows = rows.with_label((1 - share) * self.dataset.labels("train")[rows.places] + share * taught)
        return rows

    def held(self, split: str) -> Held:
        """Labels, weights and members of a whole split."""
        if split not in self._held:
            entities = self.dataset.schema.entities
            members = self.dataset.entity_codes(split, entities[0].name) if entities else None
            self._held[split] = Held(self.dataset.labels(split), self.dataset.weights(split), members)
        return self._held[split]

    def offset(self, split: str, added: Mixture | None) -> np.ndarray:
        """The dataset's offset plus a mixture's score: float32 [rows of the split].

        Raises:
            TrialError: a member left no scores.
        """
        offset = self.dataset.offsets(split)
        if added is None:
            return offset
        if not added.members:
            return offset + np.float32(added.bias)
        members = [self.scores(member, split) for member in added.members]
        return offset + mixture.blend(members, added.weights, added.bias)

    def rows_of(self, split: str) -> mixture.Rows:
        """What a mixture fit needs of a whole split."""
        return mixture.Rows(self.dataset.labels(split), self.dataset.weights(split), self.dataset.offsets(split))

    def scores(self, number: int, split: str) -> np.ndarray:
        """The cached scores of a trained coordinate, float32 [rows of the split], the offset not included.

        Raises:
            TrialError: the trial left none, or of another dataset.
        """
        name, rows = _name(number, split), self.dataset.rows(split)
        if not self.study.exists(name):
            raise TrialError(f"{self.study.path(name)}: trial {number} left no scores: it failed, or they were removed")
        try:
            scores = np.load(io.BytesIO(self.study.read(name)), allow_pickle=False)
        except ValueError as error:
            raise TrialError(f"{self.study.path(name)}: cannot be read as an array: {error}") from error
        if scores.shape != (rows,):
            raise TrialError(f"{self.study.path(name)}: has {len(scores)} scores for {rows} rows: of another dataset")
        return np.asarray(scores, np.float32)

    def write_scores(self, number: int, split: str, scores: np.ndarray) -> None:
        """Keeps a coordinate's scores, float32 [rows of the split]; on rank 0 only.

        Raises:
            DataError: the place cannot be written.
        """
        if self._collective.rank == 0:
            content = io.BytesIO()
            np.save(content, np.asarray(scores, np.float32), allow_pickle=False)
            self.study.write(_name(number, split), content.getvalue())

    @property
    def names(self) -> tuple[str, ...]:
        """The splits there are, train first."""
        return tuple(split for split in SPLITS if split in self.dataset.manifest.splits)

    def _part(self, fraction: float) -> Resident:
        if fraction not in self._parts:
            self._parts[fraction] = self._read("train", fraction)
            while len(self._parts) > FRACTIONS_KEPT:
                self._parts.popitem(last=False)
        self._parts.move_to_end(fraction)
        return self._parts[fraction]

    def _read(self, split: str, fraction: float) -> Resident:
        share = self._collective.rank, self._collective.size
        block = self.dataset.read(split, *share, fraction=fraction, seed=self._seed)
        return Resident.of(block, self._seed if split == "train" else None)


def _name(number: int, split: str) -> str:
    return f"{TRIALS}/{number}/{SCORES.format(split=split)}"
