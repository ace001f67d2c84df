"""Files of events, in and out: one module per format behind `open_dataset` and `write_dataset`."""
