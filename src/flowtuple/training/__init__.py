"""Fitting a lattice flow to events; the only place outside `generative` that needs PyTorch."""
