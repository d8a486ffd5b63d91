"""Files of other mirroring tools, read and written as a mirrors file."""
