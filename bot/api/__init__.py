"""The HTTP face (spec 10.1): one table of routes, which server, OpenAPI document, page and client all read."""
