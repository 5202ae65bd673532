"""Floor 2½: the computing middle, shared by the node and by `dicom-ai process`. No queue, no database."""
