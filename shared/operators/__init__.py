"""What operators do with the configuration, tokens, lists and leases: one function per use case, over the records.

The JSON API, the pages and the operator's command call the same ones. Nothing here speaks HTTP. What cannot be done is
an `Objection`; then nothing has changed.
"""
