from tests.unit.storage.conftest import clock, database  # noqa: F401 - fixtures
