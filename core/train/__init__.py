"""The release train: what will happen (plan), why it may not start (proposal), and how it happens (engine)."""
