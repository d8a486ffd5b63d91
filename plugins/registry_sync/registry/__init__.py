"""The only HTTP to registries: one client per kind of registry behind one protocol."""
