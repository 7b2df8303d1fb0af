"""Checks of API keys a second, beside what the machine can do and what others do."""
