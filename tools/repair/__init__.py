"""Tools that mend what a cycle found broken."""
