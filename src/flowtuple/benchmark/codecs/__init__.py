"""What other tools make of the same columns at the same bounds: one rival a file, behind one protocol."""
