"""The language of `where_clause`: one grammar, taken apart against an allow-list and written anew for each database."""
