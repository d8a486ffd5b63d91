"""HTTP to one registry: exchanges, authentication, redirects, retries, paging, rate limits, errors."""
