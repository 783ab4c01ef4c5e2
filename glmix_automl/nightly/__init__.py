"""The night: prepare, gate, search, promote, score, prune; idempotent under a key, each step a scheduler can retry."""
