"""What model-based strategies are made of: surrogates, their inputs, and acquisition functions."""
