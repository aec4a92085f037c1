"""The process: builds things, reads the clock, starts in order, stops in reverse."""
