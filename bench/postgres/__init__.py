"""Checks and rotations on PostgreSQL, beside what others make of the same server."""
