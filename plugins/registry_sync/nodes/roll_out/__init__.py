"""Forms in which rendered files reach machines and clusters: ``nodes render --as``."""
