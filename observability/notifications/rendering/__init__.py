"""The forms a notification takes: words, HTML, Slack's blocks, Alertmanager's JSON.

Plain functions instead of templates: what alerts say is data everywhere, so there is nothing that could be injected.
"""
