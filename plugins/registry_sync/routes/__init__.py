"""The meaning of a mirrors file: routes, the graph they form, and everything wrong with it."""
