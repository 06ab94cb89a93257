"""Write results where others read them: model cards, .eval_results and Every Eval Ever. Never imports torch."""
