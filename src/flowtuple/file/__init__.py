"""The file: layout of its parts, and the reader and writer of the whole."""
