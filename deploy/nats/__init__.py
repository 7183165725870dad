"""What the users of a NATS server of your own may do."""
