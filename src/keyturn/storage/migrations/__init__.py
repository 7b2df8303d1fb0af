"""Schema changes, numbered, in order, for each database. A file once released never changes."""
