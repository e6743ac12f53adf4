"""The one violation model, mapped to mail, webhook, syslog and the formats of SIEMs."""
