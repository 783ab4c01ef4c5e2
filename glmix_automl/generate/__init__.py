"""Raw tables with a known truth, written by Spark: one module per recipe, and the ceiling any model can reach."""
