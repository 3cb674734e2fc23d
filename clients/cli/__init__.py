"""The command `suyuan`: a command parses, calls the SDK and prints.

Nothing here knows the format of the log or the rules; `clients.sdk` talks and verifies, `ledger` judges.
"""
