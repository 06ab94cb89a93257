"""Claims as others publish them: in model cards, in `.eval_results` files and in tables."""
