"""What a report says, in sentences and tables, before it takes any form."""
