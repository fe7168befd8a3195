"""A network of the instance's own: guests reach each other, what the application gives them, and what is allowed."""
