"""What members respond to together: models of items, fitted again and again on the rows before, and columns from them.

The effects of a bounded sample of members (`sample`) say which items are taken together and liked alike (`similar`),
and give each item a short vector (`factors`). Both are fitted anew whenever the rows have grown by a quarter, on
strictly earlier rows. A row's columns weigh its member's own last effects, up to the row exactly, by the models of its
moment (`look_back`); so members who are new since the last fit have them too.
"""
