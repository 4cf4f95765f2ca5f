"""What a hospital advanced in a month and wants back (医疗机构垫付款): gathered, frozen, passed line by line."""
