"""Pushes that registries report: proof of the sender, names in the body, and the mirrors that they concern. Pure."""
