"""What happens, one file a flow; flows meet in the store, never in each other."""
