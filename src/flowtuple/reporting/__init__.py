"""What compression did to the events: fidelity per column, rival sizes, plots and the report."""
