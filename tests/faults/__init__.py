"""Faults on purpose: the real processes of a node are killed, filled, cut and delayed, and nothing may be lost."""
