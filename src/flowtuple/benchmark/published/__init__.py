"""Methods that others published, as they are documented, to be measured beside the lattice flow. They need PyTorch."""
