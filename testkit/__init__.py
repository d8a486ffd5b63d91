"""Real registries, an interceptor, image builders and scripted servers, for tests, bench and demo."""
