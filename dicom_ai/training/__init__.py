"""Recipes that train the shipped models. Needs the extra [train]."""
