"""HTTP in front of the actions: decode, act, encode. Nothing is decided here."""
