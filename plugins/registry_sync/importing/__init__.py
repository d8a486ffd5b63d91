"""Files of other mirroring tools: a reader for each in ``tools/``, and the mirrors file that is written from them.

Pure. For ``cli`` only.
"""
