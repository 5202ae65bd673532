"""The architectures: torch only; each maps arrays to logits, and knows nothing of DICOM, files or thresholds."""
