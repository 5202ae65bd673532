"""What a model's manifest may ask to be measured (`measurements` in model.toml)."""

SPINAL_CORD_CSA = "spinal_cord_csa"
VERTEBRAE = "vertebrae"
RADIOGRAPH_VERTEBRAE = "radiograph_vertebrae"
RADIOGRAPH_ENDPLATES = "radiograph_endplates"
"""Beside RADIOGRAPH_VERTEBRAE, where the model draws endplates as they curve: middle height and biconcavity."""
VOLUME = "volume"

NAMES = (SPINAL_CORD_CSA, VERTEBRAE, RADIOGRAPH_VERTEBRAE, RADIOGRAPH_ENDPLATES, VOLUME)
