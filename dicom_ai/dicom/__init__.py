"""Floor 2: DICOM objects, read and written. No sockets, no database."""
