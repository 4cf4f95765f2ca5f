"""The claim on paper and as a sheet: 每月垫付资金汇总表."""
