"""Names and order of the spine, and the course of the cord."""
