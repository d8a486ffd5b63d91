"""Artifacts attached to images, such as signatures and SBOMs: cosign tags and OCI referrers."""
