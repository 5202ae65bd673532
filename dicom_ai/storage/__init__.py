"""What is kept: the database, one module per noun, and the files. The database is the truth."""
