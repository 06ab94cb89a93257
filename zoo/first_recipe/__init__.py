"""Look at the data of a user, and write a first recipe for them."""
