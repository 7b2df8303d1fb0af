"""The pages on which developers see and govern their agents."""
