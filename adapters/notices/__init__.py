"""What is to be told to people, until it is told."""
