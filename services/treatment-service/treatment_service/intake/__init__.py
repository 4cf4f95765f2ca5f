"""The quick way in for a hospital's new bills, single or in batches (成批报送); every doubt is left to `discharges`."""
