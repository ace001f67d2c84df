"""Tables of events: schema, bounds, selection, collections, rows."""
