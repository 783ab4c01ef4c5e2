"""The version of this program, which what it writes carries."""

VERSION = "0.1.0"
