"""The wire to one host: one exchange, authentication, redirects, retries, paging, rate limits, errors."""
