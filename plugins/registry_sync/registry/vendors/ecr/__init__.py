"""Amazon ECR: its API, the errors of it, and the client."""
