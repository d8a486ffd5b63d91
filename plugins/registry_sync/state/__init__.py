"""State of each route and destination between runs: values, merging, promises and queries. Pure."""
