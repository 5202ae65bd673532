"""A DICOM node that measures the spine and sends SEG and SR back to the archive."""

__version__ = "0.1.0"
