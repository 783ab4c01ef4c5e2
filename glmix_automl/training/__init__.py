"""One trial, start to finish: a coordinate trained, measured, and its scores kept."""
