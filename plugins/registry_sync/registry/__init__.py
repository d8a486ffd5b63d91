"""The only HTTP of this package: registries' APIs behind one protocol."""
