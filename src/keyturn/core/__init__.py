"""Decisions as functions of plain values: no clock, no randomness, no I/O, no logging."""
