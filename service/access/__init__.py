"""Who may use the service: signing in, tokens, sessions, and the guard of every route."""
