"""What speed and memory cost, measured side by side: `make bench`, or `python -m bench NAME…`."""
