"""What people ask: read-only; each query reads one state of the database and returns values of the domain."""
