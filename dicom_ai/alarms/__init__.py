"""Alarms: what is wrong with the node (conditions), and how a person learns of it (channels)."""
