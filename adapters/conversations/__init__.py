"""Where talks with operators are kept."""
