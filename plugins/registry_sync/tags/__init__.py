"""Tag rules: which tags are mirrored, and what happens to a tag that exists already. Pure."""
