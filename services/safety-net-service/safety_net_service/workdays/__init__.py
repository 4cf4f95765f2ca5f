"""Working days by date and region, each with its document (工作日); deadlines count them, and never guess."""
