"""One page a module: it asks storage, fills the template of the same name, nothing else."""
