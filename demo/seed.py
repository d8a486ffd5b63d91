"""Pushes the images of the demo to a registry: python -m demo.seed URL."""

from __future__ import annotations

import sys
import time

import requests

from demo.images import push_images
from testkit.waiting import PATIENCE_SECONDS


def wait_for(url: str) -> None:
    """Wait until a registry answers.

    :raises requests.ConnectionError: when it does not in time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            requests.get(f"{url}/v2/", timeout=5)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    wait_for(sys.argv[1])
    print(f"{push_images(sys.argv[1])} tags are in {sys.argv[1]}")
