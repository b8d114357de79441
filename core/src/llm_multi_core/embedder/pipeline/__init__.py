"""The way from items to rows: de-duplicate, cache, plan, run, check, put back into order.

Plugins and adapters use none of this; embedders do.
"""
