"""The report for those who answer for data protection: numbers, charts, one page in two languages."""
