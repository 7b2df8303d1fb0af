"""Measurements of Keyturn beside what the same machine can do at all.

Run `python -m bench`. What lives here measures the real server from outside and is never imported
by it.
"""
