"""The JSON API of the members' portal: one table of routes that serves and describes itself."""
