"""Who may do what on the NATS server that Waggle's processes share, and the server's configuration that says so."""
