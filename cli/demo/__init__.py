"""`waggle demo` with the documents and questions that ship with Waggle."""
