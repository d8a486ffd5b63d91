"""The images of the demo."""

from __future__ import annotations

from testkit.images import Image, big_layer, image, layer, multi_arch, push


def push_images(url: str) -> int:
    """Push the demo's images to the registry at ``url``, and return the number of tags."""
    images = demo_images()
    for (repository, tag), each in images.items():
        push(url, repository, tag, each)
    return len(images)


def demo_images() -> dict[tuple[str, str], Image]:
    """Images by repository and tag. All share one layer, as images of one distribution do."""
    base = big_layer(3_000_000)
    newest = multi_arch("hyperkube 1.32.0", base=base)
    pause_platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]
    return {
        ("giantswarm/hyperkube", "v1.30.8"): multi_arch("hyperkube 1.30.8", base=base),
        ("giantswarm/hyperkube", "v1.31.4"): multi_arch("hyperkube 1.31.4", base=base),
        ("giantswarm/hyperkube", "v1.32.0"): newest,
        ("giantswarm/hyperkube", "latest"): newest,
        ("giantswarm/aws-operator", "14.1.0"): multi_arch("aws-operator 14.1.0", base=base, attestations=True),
        ("giantswarm/aws-operator", "14.2.0"): multi_arch("aws-operator 14.2.0", base=base, attestations=True),
        ("giantswarm/cert-operator", "3.4.1"): multi_arch("cert-operator 3.4.1", base=base),
        ("giantswarm/node-exporter", "v1.7.0"): image([base, layer({"version": b"1.7.0"})], format="docker"),
        ("giantswarm/node-exporter", "v1.8.2"): multi_arch("node-exporter 1.8.2", format="docker", base=base),
        ("giantswarm/pause", "3.10"): multi_arch("pause 3.10", pause_platforms),
        ("giantswarm/pause", "3.11-dev"): multi_arch("pause 3.11", pause_platforms),
    }
