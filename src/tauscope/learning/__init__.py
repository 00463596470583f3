"""How a network is taught."""
