"""Fault campaigns against real servers: `python -m tests.faults` runs them all, long.

Each campaign is a function of a number of runs and a seed that answers an `Outcome`. The tests
beside them run a short sample of the same functions.
"""
