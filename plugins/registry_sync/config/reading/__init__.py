"""Reading a mirrors file as YAML, and explaining its mistakes by line."""
