"""The parameters of the families of this package, in a file of their own as their coordinates load TensorFlow."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from glmix_automl.models.family import FamilyParameters, ModelFamily, later

Loss = Literal["logistic", "pairwise"]
PAIRED_BATCH = 16
"""Batches of pairs are multiples of it, so that none is cut in two."""
NetworkInputs = Literal["all", "numerics", "terms"]


class FeatureParameters(FamilyParameters):
    """Of families that take the features of a dataset."""

    features: str = Field(default="*", min_length=1)
    """Those it sees: names or patterns with spaces between, after a `-` what is left out, as in `-past_*`."""


class StepParameters(FeatureParameters):
    """Of the training loop, which every family trained by gradient steps takes."""

    batch_size: int = Field(default=512, ge=1, le=1 << 24)
    """Rows per step and rank."""
    learning_rate: float = Field(default=0.001, ge=1e-8, le=10.0)
    """Of Adam, for dense weights."""
    table_learning_rate: float = Field(default=0.05, ge=1e-8, le=10.0)
    """Of Adagrad, for embeddings and wide tables."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Of both rates over the budget."""
    warmup: float = Field(default=0.0, ge=0.0, le=0.9)
    """Share of the budget over which the rates rise from 0."""
    evaluations: int = Field(default=0, ge=0, le=1000)
    """Validations within the budget; 0: one per epoch, at most 10."""
    distillation: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the teacher's probability in the labels."""
    patience: int = Field(default=0, ge=0, le=1000)
    """Validations without a better AUC that end training; 0: none."""
    loss: Loss = "logistic"
    """Of rows, or of pairs of a member's rows with different labels, a pair for each row in an epoch. Pairwise scores
    order each member's rows and say nothing of members: weighed in a mixture they are log-odds, alone they are not.
    The best weights, and the curve, are then by AUC within members."""

    @model_validator(mode="after")
    def _whole_pairs(self) -> "StepParameters":
        if self.loss == "pairwise" and self.batch_size % PAIRED_BATCH:
            raise ValueError(f"loss pairwise needs a batch_size that is a multiple of {PAIRED_BATCH}")
        if self.loss == "pairwise" and self.distillation:
            raise ValueError("loss pairwise takes no teacher: leave out distillation")
        return self


class LogisticParameters(StepParameters):
    """Of logistic regression by mini-batch Adam, or by full-batch L-BFGS to the exact optimum."""

    solver: Literal["adam", "lbfgs"] = "adam"
    """Mini-batch Adam, or exact full-batch L-BFGS."""
    l2: Annotated[float, Field(ge=0.0)] | Literal["auto"] = 0.0
    """Strength of 1/2 |w|^2 beside the sum of the rows' losses (1 / C of scikit-learn); `auto`, for L-BFGS, goes from
    strong to weak and leaves the weights of the best validation AUC."""
    l1: float = Field(default=0.0, ge=0.0)
    """Strength of |w| beside the sum of the rows' losses."""
    bins: int = Field(default=0, ge=0, le=256)
    """For L-BFGS: pieces into which quantiles of the training rows cut every numeric, so that the score bends at their
    ends; 0: it is linear in numerics."""
    tolerance: float = Field(default=1e-8, ge=0.0, le=1.0)
    """Of L-BFGS: decrease still to be had, relative, that ends it."""
    iterations: int = Field(default=200, ge=1, le=100_000)
    """Of L-BFGS, at most, for each strength."""

    @model_validator(mode="after")
    def _whole_passes(self) -> "LogisticParameters":
        if self.l2 == "auto" and self.solver != "lbfgs":
            raise ValueError("l2: auto needs solver: lbfgs, which goes to the optimum of each strength")
        if self.loss == "pairwise" and self.solver != "adam":
            raise ValueError("loss pairwise needs solver: adam")
        if self.bins and self.solver != "lbfgs":
            raise ValueError("bins needs solver: lbfgs")
        return self


class TermParameters(StepParameters):
    """Of families that embed terms."""

    terms: int = Field(default=0, ge=0, le=1 << 31)
    """Most frequent terms of a vocabulary that it tells apart, the others being unseen; 0: all."""
    embedding_width: int = Field(default=16, ge=0, le=1024)
    """Of a categorical; 0 chooses by its number of ids."""
    embedding_l2: float = Field(default=0.0, ge=0.0)
    """Strength of 1/2 |row|^2 for each row a batch touches, per occurrence."""


class NetworkParameters(TermParameters):
    """Of networks on numerics and embeddings."""

    inputs: NetworkInputs = "all"
    """What it sees: all features, numerics only, or all but numerics. A member of an ensemble errs otherwise than the
    rest if it sees something else."""
    bag_width: int = Field(default=16, ge=0, le=1024)
    """Of a bag's entries; 0 chooses by the number of ids."""
    pooling: Literal["mean", "sqrt", "sum"] = "mean"
    """Of a bag's entries: their mean, their sum over the root of their number (by value), or their sum, which tells
    long bags from short ones."""
    accumulator: float = Field(default=4.0, ge=0.0, le=1e12)
    """Where Adagrad's sums of squares begin for embeddings, in squares of a row's loss gradient: the higher, the more
    examples a term's row needs to move."""
    dropout: float = Field(default=0.0, ge=0.0, le=0.95)
    """Share of hidden units left out at each step, to the nearest 256th."""
    weight_decay: float = Field(default=0.0, ge=0.0, le=10.0)
    """Strength of 1/2 |kernel|^2 beside the mean loss."""


class SubnetworkParameters(NetworkParameters):
    """Of dense subnetworks."""

    depth: int = Field(default=2, ge=0, le=64)
    """Hidden layers."""
    width: int = Field(default=64, ge=1, le=65_536)
    """Units per hidden layer."""
    activation: Literal["relu", "elu", "swish", "tanh"] = "relu"
    """Of hidden layers."""


class CrossParameters(NetworkParameters):
    """Of cross blocks."""

    depth: int = Field(default=2, ge=1, le=16)
    """Cross layers: the degree of the products less one."""
    rank: int = Field(default=16, ge=1, le=4096)
    """Of a layer's matrix."""


class FactorisationParameters(TermParameters):
    """Of factorisation machines."""

    embedding_width: int = Field(default=16, ge=1, le=1024)
    """Components of a feature's row."""
    pairs: Literal["all", "sides"] = "all"
    """Products of all pairs, or across the two sides."""


class TreesParameters(FeatureParameters):
    """Of gradient-boosted trees, for the logistic loss."""

    shape: Literal["leafwise", "symmetric"] = "leafwise"
    """`leafwise`: the leaf that gains most is split next, by LightGBM (Ke et al. 2017). `symmetric`: all nodes of a
    level are split by one column at one border (CatBoost, Prokhorenkova et al. 2018), which fits less by heart."""
    trees: int = Field(default=300, ge=1, le=100_000)
    """Per epoch of the budget."""
    leaves: int = Field(default=31, ge=2, le=65_536)
    """Of a tree, at most; a symmetric one has a power of two, 256 at most."""
    learning_rate: float = Field(default=0.1, ge=1e-8, le=10.0)
    """What a tree's leaves are multiplied by."""
    leaf_rows: int = Field(default=20, ge=1, le=1 << 24)
    """Rows of a leaf, at least; of a symmetric tree's column, in which it is filled."""
    feature_share: float = Field(default=1.0, ge=0.001, le=1.0)
    """Share of the columns that a node may be split by, drawn for each, or for each symmetric tree."""
    row_share: float = Field(default=1.0, ge=0.001, le=1.0)
    """Share of the rows that a tree is grown on."""
    l2: float = Field(default=0.0, ge=0.0)
    """Strength of 1/2 |leaf|^2 beside the sum of the rows' losses."""
    bins: int = Field(default=255, ge=2, le=65_535)
    """Values of a column told apart, at most; 256 at most by symmetric trees."""
    patience: int = Field(default=50, ge=0)
    """Trees without a better validation AUC that end training; 0: none."""
    inputs: NetworkInputs = "all"
    """What it sees: all features, numerics only, or all but numerics."""
    terms: int = Field(default=0, ge=0, le=1 << 24)
    """Ids of each bag that have a column, those filled in the most training rows; 0: all."""
    distillation: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the teacher's probability in the labels."""
    loss: Loss = "logistic"
    """Of rows, or of pairs of a member's rows with different labels, each as heavy as what swapping the two does to the
    member's NDCG (LambdaMART, Burges 2010); scores are then made log-odds on the validation rows, by two numbers."""

    @model_validator(mode="after")
    def _hard_labels(self) -> "TreesParameters":
        if self.loss == "pairwise" and self.distillation:
            raise ValueError("loss pairwise takes no teacher: leave out distillation")
        return self

    @model_validator(mode="after")
    def _of_one_shape(self) -> "TreesParameters":
        if self.shape == "symmetric" and (self.loss == "pairwise" or self.row_share < 1):
            raise ValueError("symmetric trees take all rows and the logistic loss: leave out row_share and loss")
        if self.shape == "symmetric" and (self.leaves > 256 or self.bins > 256):
            raise ValueError("symmetric trees have 256 leaves and 256 bins of a column at most")
        return self

    @property
    def levels(self) -> int:
        """Of a symmetric tree."""
        return self.leaves.bit_length() - 1


class RandomEffectParameters(FamilyParameters):
    """Of random effects, solved exactly for every entity."""

    entity: str = ""
    """Whose they are: an entity of the dataset, a categorical, or a pair of them as in `member x industry`; the first
    entity if empty."""
    features: str = ""
    """Whose weights are each entity's own: names or patterns with spaces between, after a `-` what is left out; a
    pattern does not stand for the entity's own features. None if empty."""
    intercept: bool = True
    """Whether each entity has one."""
    l2: float | Literal["auto"] = "auto"
    """Strength of 1/2 |w|^2 beside the sum of the entity's losses; `auto` estimates one per feature from the data."""
    intercept_l2: float | Literal["auto"] = "auto"
    """The same for intercepts."""
    min_rows: int = Field(default=1, ge=1)
    """Entities with fewer rows have no model."""
    max_rows: int = Field(default=1 << 16, ge=1)
    """Of entities with more rows about as many are drawn, and weigh more for those left out."""
    forgetting: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of what an earlier model knew of an entity that is forgotten; at 1 it is only where solving begins."""


LOGISTIC = ModelFamily(
    "logistic",
    LogisticParameters,
    later("glmix_automl.models.logistic.Logistic"),
    trainer=lambda chosen: "full_batch" if chosen.solver == "lbfgs" else "gradient_steps",
    complexity=lambda chosen: 1.0,  # a linear model is as simple as a subnetwork of depth 1
)
SUBNETWORK = ModelFamily(
    "subnetwork",
    SubnetworkParameters,
    later("glmix_automl.models.subnetwork.Subnetwork"),
    trainer=lambda chosen: "gradient_steps",
    complexity=lambda chosen: math.sqrt(1 + chosen.depth),  # the output layer included
)
CROSS = ModelFamily(
    "cross",
    CrossParameters,
    later("glmix_automl.models.cross.Cross"),
    trainer=lambda chosen: "gradient_steps",
    complexity=lambda chosen: math.sqrt(1 + chosen.depth),
)
FACTORISATION = ModelFamily(
    "factorisation",
    FactorisationParameters,
    later("glmix_automl.models.factorisation.Factorisation"),
    trainer=lambda chosen: "gradient_steps",
    complexity=lambda chosen: math.sqrt(2),  # products are one layer above a linear model
)
TREES = ModelFamily(
    "trees",
    TreesParameters,
    later("glmix_automl.models.trees.Trees"),
    trainer=lambda chosen: "boosting",
    complexity=lambda chosen: math.sqrt(1 + math.log2(chosen.leaves)),  # leaves all as deep, their sum a layer more
)
RANDOM_EFFECT = ModelFamily(
    "random_effect",
    RandomEffectParameters,
    later("glmix_automl.models.random_effect.RandomEffect"),
    trainer=lambda chosen: "per_entity",
    complexity=lambda chosen: math.sqrt(1 + bool(chosen.features)),
)
