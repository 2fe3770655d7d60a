"""Understanding an operator without a model: words, names, moments and moods of a sentence become one typed intent."""
