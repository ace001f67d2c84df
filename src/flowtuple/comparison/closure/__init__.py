"""A simulation held against the truth: reconstructed objects given the generated ones they come from."""
