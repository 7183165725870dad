"""Works on whole indexes: compares one with the ledger, copies one into another, replaces one while workers go on."""
