"""The demo county: Luzhai (鹿寨县) with its true townships and invented people, loaded as anyone would load it."""
