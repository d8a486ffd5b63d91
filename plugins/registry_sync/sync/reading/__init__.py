"""Reading both registries of a route: everything that a plan needs."""
