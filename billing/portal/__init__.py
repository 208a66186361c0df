"""The members' portal: its own listener, server-rendered pages."""
