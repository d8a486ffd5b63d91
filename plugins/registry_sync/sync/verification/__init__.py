"""Deep checks: verify that a destination holds the content of its tags, and repair it."""
