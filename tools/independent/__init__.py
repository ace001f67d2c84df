"""Files read by other programs' libraries alone, and compared value for value; nothing of flowtuple
is imported here.
"""
