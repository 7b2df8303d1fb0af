"""What the product does, one file for each thing.

An action decides with `core`, keeps with `storage`, and knows nothing of HTTP.
"""
