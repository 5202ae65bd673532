"""The architectures: torch only; each takes arrays and returns logits, and knows nothing of DICOM, files or thresholds."""
