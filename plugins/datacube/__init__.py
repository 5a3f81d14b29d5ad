"""A weather or climate datacube: open, describe, query, plan, read. No web framework."""
