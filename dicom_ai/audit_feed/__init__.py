"""The audit trail as DICOM audit messages (PS3.15 A.5), in a file and by syslog, for an audit record repository."""
