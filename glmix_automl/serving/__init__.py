"""A trained model outside its study: a self-contained folder, and what reads it."""
