"""The MCP server: what a person's own assistant may look up and ask for, under that person's role."""
