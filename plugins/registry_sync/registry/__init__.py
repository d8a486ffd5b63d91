"""The only HTTP: one client per kind of registry behind one protocol."""
