"""One client for each kind of registry that has rules or an API of its own."""
