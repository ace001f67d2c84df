"""Indices to bytes and back: frequencies, the entropy coder, the other methods, and whole chunks."""
