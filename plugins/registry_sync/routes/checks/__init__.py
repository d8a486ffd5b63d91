"""Checks of a mirrors file across its entries: unknown names, cycles, two writers of one repository, node pools."""
