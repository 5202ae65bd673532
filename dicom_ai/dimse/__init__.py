"""The wire: DIMSE over TCP and TLS, as SCP (scp.py) and SCU (scu.py), on pynetdicom. Knows no files and no database."""
