"""What clients of OpenAI's API need to ask Waggle."""
