"""Whether the time of a refusal tells which refusal it was. See docs/timing.md."""
