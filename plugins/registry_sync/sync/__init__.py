"""One route: observe, plan, transfer, publish, prune, report."""
