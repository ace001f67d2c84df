"""Every codec measured on the same events at the same bounds, each run in a fresh process."""
