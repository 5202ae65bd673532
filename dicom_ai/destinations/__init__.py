"""Kinds of destination. To add one: write a module with a function as delivery.Deliver, and name it in DESTINATIONS."""

from dicom_ai.destinations import c_store, folder, stow_rs
from dicom_ai.destinations.delivery import Deliver

DESTINATIONS: dict[str, Deliver] = {"c_store": c_store.send, "stow_rs": stow_rs.send, "folder": folder.send}
