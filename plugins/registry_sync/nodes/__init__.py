"""The machines that pull: render, audit, rewrite, readiness."""
