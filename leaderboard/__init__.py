"""Publish committed records as Markdown and HTML. Never imports torch."""
