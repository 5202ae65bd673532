"""Floor 4½: the whole product on a synthetic study, for newcomers and for tests. Everything on loopback."""
