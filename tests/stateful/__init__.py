"""A state machine that drives a real server and a model side by side, and compares them."""
