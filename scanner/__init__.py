"""Pixels to symbols to identifiers, and identifiers to labels.

`decode` reads the symbols on a picture, `identify` says which chain a symbol names, `labels` draws what they read.
"""
