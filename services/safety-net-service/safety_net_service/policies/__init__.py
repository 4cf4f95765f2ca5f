"""The law as data (政策包), one folder a county; and its pages, which anyone may read (主动公开)."""
