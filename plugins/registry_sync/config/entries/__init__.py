"""The keys of a mirrors file as they may be written: models that pydantic validates, and that parse to values."""
