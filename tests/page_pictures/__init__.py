"""The pictures of the pages in docs/images: a node that has lived through a hospital's night, and a browser."""
