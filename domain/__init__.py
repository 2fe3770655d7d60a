"""The nouns of Evercrew: what we talk about, with no input or output of its own."""
