"""Keeps what it is given and never decides."""
