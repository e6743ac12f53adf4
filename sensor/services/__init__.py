"""What the API and the command line both do: list, change, preview, export. No HTTP here, no SQL there."""
