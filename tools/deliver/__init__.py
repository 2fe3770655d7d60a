"""Tools that change what is served, by git and by nothing else."""
