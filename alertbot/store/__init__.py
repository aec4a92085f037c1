"""What is remembered. The only user of SQLAlchemy and Alembic."""
