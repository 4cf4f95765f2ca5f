"""Medical institutions (医疗机构): the county's own, and those outside where its residents are treated."""
