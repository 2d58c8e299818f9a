"""Who may use the dashboard and the API: people, their sessions and programs' tokens. Knows no HTTP."""
