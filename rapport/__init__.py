"""The command line: it starts the local stack and keeps it alive. The only room that knows all others."""
