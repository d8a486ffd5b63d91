"""Files of other mirroring tools: a reader for each tool, and the mirrors file that is written from them. Pure."""
