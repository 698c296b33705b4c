"""What the second direction buys and costs, and how fast the layers are."""
