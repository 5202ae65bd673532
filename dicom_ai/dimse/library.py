"""The process-wide switches of pynetdicom, set in one place."""

import logging

from pynetdicom import _config


def configure() -> None:
    """Keep patient data out of pynetdicom's logs and send files without reading them whole; safe to call again.

    pynetdicom has these as module variables: they hold for every association of the process.
    """
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.LOG_HANDLER_LEVEL = "none"
    _config.STORE_SEND_CHUNKED_DATASET = True
    # Its messages repeat command sets and, when a handler fails, values of the data set; ours say what is needed.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
