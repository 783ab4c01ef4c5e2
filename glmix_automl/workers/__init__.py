"""Where trials run: a role, four places that fill it, and what the ranks of a world do together."""
