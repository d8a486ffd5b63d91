"""Images in texts: lists, Kubernetes manifests, and pods as JSON. For ``images_from:`` and the commands ``nodes``."""
