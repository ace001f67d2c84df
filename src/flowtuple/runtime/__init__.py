"""Parts that know nothing of events: atomic files, threads, progress."""
