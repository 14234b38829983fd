"""The report of a release: one page for people, made of its bundle alone.

    bundle -> facts (what happened, decided again) -> html, markdown, json, junit

Nothing here reads a cluster or a network. Every text of the release is foreign text: it is escaped where it is written.
"""
