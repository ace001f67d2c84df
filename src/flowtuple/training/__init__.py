"""Fitting a lattice flow to events; the only place outside `flows` that needs PyTorch."""
