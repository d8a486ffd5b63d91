"""The machines that pull: what their runtimes need, rendered, audited and checked from the mirrors file."""
