"""Many files, each a task of its own: in this process, or on a cluster of Dask."""
