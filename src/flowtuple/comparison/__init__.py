"""Comparisons of samples and of originals with decoded values."""
