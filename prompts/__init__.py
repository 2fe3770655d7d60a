"""Words for a model: prompts by task, shared partials, and the runbooks of the deterministic model as data."""
