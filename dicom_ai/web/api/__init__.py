"""The API: versioned, described by OpenAPI, behind tokens with roles; by the same functions as the pages."""
