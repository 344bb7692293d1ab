"""Who may come in: TLS, tokens, and the role that each method asks for."""
