"""AutoML for recommendation: Spark preparation, Horovod training, a race of strategies, GLMix random effects."""

__version__ = "0.1.0"
