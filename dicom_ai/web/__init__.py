"""The administrator's pages and the API: one module and one template per page, every URL in routes.py."""
