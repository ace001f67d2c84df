"""The model as a density: events drawn from it, and how likely it finds events."""
