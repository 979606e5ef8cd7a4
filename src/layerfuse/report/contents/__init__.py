"""The contents of a report as sentences and tables, before they are rendered in any format."""
