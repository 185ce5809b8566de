"""Side-by-side measurements; not shipped."""
