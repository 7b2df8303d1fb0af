"""What protects other people's applications, in front of real ones on real servers."""
