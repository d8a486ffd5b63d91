"""Values of the OCI specifications: references, digests, manifests, platforms, reserved and artifact tags."""
