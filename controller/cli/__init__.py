"""The command line. `main` knows every command by name and imports one when it is used; `host` is the world around it."""
